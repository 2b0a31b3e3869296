"""The safe applier: a layer's tar becomes a tree, and nothing outside the tree is ever touched.

Every step goes through a descriptor of a folder inside the tree, opened without following links. Names are taken
relative to the root; one that climbs out with ``..`` is an error. A symlink on the way, of this layer or of a lower
one, is followed inside the root. Whiteouts (layer.md, "Whiteouts") become overlayfs' own: a character device 0:0, and
the attribute ``user.overlay.opaque``. Attributes of overlayfs that come in a layer are dropped. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from img.errors import LayerError
from img.files.entry import Entry
from img.files.records import Records, open_mode, unprivileged
from img.files.view import View
from img.files.whiteouts import is_whiteout, make_whiteout
from img.files.xattrs import OPAQUE, write_xattrs
from img.oci.tar import OPAQUE as OPAQUE_NAME
from img.oci.tar import WHITEOUT
from img.oci.untar import Content, read_tar
from img.oci.ways import clean, inside, join

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
LINKS = 40


def unpack(dest: str, lower: Sequence[str], *, fds: Sequence[int]) -> dict[str, Any]:
    """The job: apply the uncompressed tar on ``fds[0]`` to the empty folder `dest`. See `apply_tar`."""
    with os.fdopen(fds[0], "rb", buffering=1 << 20) as stream:
        return apply_tar(stream.read, dest, lower, records=Records() if unprivileged() else None)


def unpack_archive(dest: str, *, fds: Sequence[int]) -> dict[str, Any]:
    """The job: unpack the plain tar on ``fds[0]``, which is no layer: names that begin with ``.wh.`` mean nothing."""
    with os.fdopen(fds[0], "rb", buffering=1 << 20) as stream:
        return apply_tar(stream.read, dest, whiteouts=False, records=Records() if unprivileged() else None)


def apply_tar(
    read: Callable[[int], bytes],
    dest: str,
    lower: Sequence[str] = (),
    *,
    whiteouts: bool = True,
    owners: bool = True,
    records: Records | None = None,
) -> dict[str, Any]:
    """Apply a layer to the folder `dest`. `lower` are the trees below it, bottom up. Without `owners` everything is
    left to who runs this, who then needs no privilege; with `records` too, and they are written beside `dest`.

    Returns ``used_lower`` (something was taken from, or depends on, the trees below) and ``skipped`` (device nodes
    that a user namespace may not make; steps get their own /dev). Raises `LayerError`.
    """
    tree = _Tree(dest, lower, whiteouts, owners and records is None, records)
    try:
        for entry, content in read_tar(read):
            tree.apply(entry, content)
        tree.finish()
        if records is not None:
            records.save(dest)
    except OSError as error:
        raise _translate(error, tree.current) from error
    finally:
        tree.close()
    return {"used_lower": tree.used_lower, "skipped": tree.skipped}


def _translate(error: OSError, path: str) -> LayerError:
    if error.errno == errno.EINVAL:
        return LayerError(
            f"{path}: its owner has no place in this user namespace",
            hint="give the user a larger range in /etc/subuid and /etc/subgid (65536 ids are usual)",
        )
    if error.errno == errno.ENOSPC:
        return LayerError(f"no space left on the disk while unpacking {path}", hint="free some space; nothing was lost")
    return LayerError(f"can't unpack {path}: {error.strerror}")


class _Tree:
    """The tree in the making. Holds one descriptor: of the folder last written to."""

    def __init__(
        self, dest: str, lower: Sequence[str], whiteouts: bool, owners: bool, records: Records | None = None
    ) -> None:
        self._whiteouts = whiteouts
        self._owners = owners
        self._records = records
        self.current = ""
        self.used_lower = False
        self.skipped = 0
        self._root = os.open(dest, FOLDER)
        self._lower = View(lower)
        self._times: dict[str, int] = {}
        self._modes: dict[str, int] = {}
        self._at: tuple[str, int] | None = None
        self._bare: set[str] = set()
        """Folders under which nothing of lower layers shows."""

    def close(self) -> None:
        self._leave()
        os.close(self._root)

    def finish(self) -> None:
        """Set the folders' times, which writing into them has changed, and the modes that waited. A folder may have
        been replaced since, also by a link, so the way to each is gone again without following any. Folders that the
        layer does not hold have no time: 1970, since a COPY onto them takes it into its layer."""
        self._leave()
        self._times.setdefault("", 0)
        for path in sorted(self._times, key=len, reverse=True):
            folder = self._reopen(path)
            if folder is None:
                continue
            try:
                if path in self._modes:
                    os.fchmod(folder, self._modes[path])
                os.utime(folder, ns=(self._times[path], self._times[path]))
            finally:
                os.close(folder)

    def _reopen(self, path: str) -> int | None:
        """A descriptor of a folder of the tree, None if there is no such folder any more."""
        folder = os.dup(self._root)
        for part in filter(None, path.split("/")):
            try:
                inner = os.open(part, FOLDER, dir_fd=folder)
            except OSError:
                os.close(folder)
                return None
            os.close(folder)
            folder = inner
        return folder

    def apply(self, entry: Entry, content: Content) -> None:
        self.current = entry.path
        parts = clean(entry.path)
        if not parts:
            if entry.kind == "dir":
                self._folder_attributes(self._root, "", entry)
            return
        name = parts.pop()
        parent = self._enter(parts)
        if self._whiteouts and name.startswith(WHITEOUT):
            self._whiteout(parent, name)
        elif entry.kind == "dir":
            self._folder(parent, name, entry)
        else:
            self._other(parent, name, entry, content)

    # --- the way to a folder -----------------------------------------------------------------------------------

    def _enter(self, parts: list[str]) -> int:
        """A descriptor of the folder `parts`, made if it is not there; links are followed inside the root."""
        wanted = "/".join(parts)
        if self._at is not None and self._at[0] == wanted:
            return self._at[1]
        self._leave()
        self._path = ""
        folder, links = os.dup(self._root), 0
        pending = list(parts)
        done: list[str] = []
        while pending:
            part = pending.pop(0)
            link = self._step(folder, done, part)
            if link is None:
                inner = os.open(part, FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
                done.append(part)
                continue
            links += 1
            if links > LINKS:
                raise LayerError(f"too many symbolic links on the way to {wanted}")
            pending[:0] = inside(done, link)
            done.clear()
            os.close(folder)
            folder = os.dup(self._root)
        self._path = "/".join(done)
        self._at = (wanted, folder)
        return folder

    def _step(self, folder: int, done: list[str], part: str) -> str | None:
        """See to it that `part` is a folder below `folder`; returns the link's text if it is a symlink."""
        try:
            status = os.stat(part, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return self._implicit(folder, done, part)
        if stat.S_ISDIR(status.st_mode):
            return None
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(part, dir_fd=folder)
        if is_whiteout(status):
            os.unlink(part, dir_fd=folder)
            os.mkdir(part, 0o755, dir_fd=folder)
            self._mark_opaque(folder, part, "/".join((*done, part)))
            self._times["/".join((*done, part))] = 0
            return None
        raise LayerError(f"the layer uses {'/'.join((*done, part))} as a folder, but it is a file")

    def _implicit(self, folder: int, done: list[str], part: str) -> str | None:
        """A folder the layer does not hold: like the one below, if there is one, else plain."""
        self.used_lower = True
        path = "/".join((*done, part))
        bare = any("/".join(done[:count]) in self._bare for count in range(len(done) + 1))
        below = None if bare else self._lower.lstat(path)
        if below is not None and below.kind == "symlink":
            return below.link
        os.mkdir(part, 0o755, dir_fd=folder)
        self._times[path] = 0
        if below is not None and below.kind == "dir":
            inner = os.open(part, FOLDER, dir_fd=folder)
            try:
                self._folder_attributes(inner, path, below)
            finally:
                os.close(inner)
        return None

    def _leave(self) -> None:
        if self._at is not None:
            os.close(self._at[1])
            self._at = None

    # --- members -----------------------------------------------------------------------------------------------

    def _whiteout(self, parent: int, name: str) -> None:
        if name == OPAQUE_NAME:
            os.setxattr(parent, OPAQUE, b"y")
            self._bare.add(self._path)
            return
        hidden = name[len(WHITEOUT) :]
        if name.startswith(WHITEOUT * 2):
            return  # aufs' own records
        if hidden in ("", ".", ".."):
            raise LayerError(f"the layer holds a whiteout of {hidden!r}, which is no name")
        try:
            make_whiteout(hidden, parent)
        except FileExistsError:  # a whiteout is about lower layers: what this layer itself put there stays
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                self._mark_opaque(parent, hidden, join(self._path, hidden))

    def _folder(self, parent: int, name: str, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
                self._mark_opaque(parent, name, join(self._path, name))  # whatever it was, it hid what lies below
        inner = os.open(name, FOLDER, dir_fd=parent)
        try:
            self._folder_attributes(inner, join(self._path, name), entry)
        finally:
            os.close(inner)

    def _mark_opaque(self, parent: int, name: str, path: str) -> None:
        self._bare.add(path)
        inner = os.open(name, FOLDER, dir_fd=parent)
        try:
            os.setxattr(inner, OPAQUE, b"y")
        finally:
            os.close(inner)

    def _other(self, parent: int, name: str, entry: Entry, content: Content) -> None:
        try:
            self._make(parent, name, entry, content)
        except FileExistsError:
            _remove(parent, name)
            self._make(parent, name, entry, content)

    def _make(self, parent: int, name: str, entry: Entry, content: Content) -> None:
        if entry.kind == "file":
            self._file(parent, name, entry, content.chunks())
            return
        if entry.kind == "hardlink":
            self._hard_link(parent, name, entry)
            return
        if entry.kind == "symlink":
            os.symlink(entry.link, name, dir_fd=parent)
        elif entry.kind == "fifo":
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif not self._device(parent, name, entry):
            return
        if self._owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if self._records is not None:
            self._records.add(join(self._path, name), entry)
        if entry.kind != "symlink":
            os.chmod(name, entry.mode, dir_fd=parent)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _file(self, parent: int, name: str, entry: Entry, chunks: Iterator[bytes]) -> None:
        file = os.open(name, NEW_FILE, 0o600, dir_fd=parent)
        try:
            for data in chunks:
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
            self._attributes(file, join(self._path, name), entry)
            os.utime(file, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _device(self, parent: int, name: str, entry: Entry) -> bool:
        """Make a device node; False if a user namespace does not allow it, as it never does."""
        if entry.device == (0, 0):
            raise LayerError(f"{entry.path} is a device 0:0, which is overlayfs' own whiteout")
        kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
        if self._records is not None:
            os.mknod(name, stat.S_IFSOCK | 0o600, dir_fd=parent)
            return True
        try:
            os.mknod(name, kind | 0o600, os.makedev(*entry.device), dir_fd=parent)
        except PermissionError:
            self.skipped += 1
            return False
        return True

    def _hard_link(self, parent: int, name: str, entry: Entry) -> None:
        parts = clean(entry.link)
        if not parts:
            raise LayerError(f"{entry.path} is a hard link to the root folder")
        keep, self._at = self._at, None
        where = self._path
        try:
            folder = self._enter(parts[:-1])
            try:
                if is_whiteout(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)):
                    raise LayerError(f"{entry.path} is a hard link to {entry.link}, which the layer has removed")
                os.link(parts[-1], name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                self._copy_up(folder, parts[-1], entry)
                os.link(parts[-1], name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
            if self._records is not None:
                self._records.alias(join(where, name), join(self._path, parts[-1]))
        finally:
            self._leave()
            self._at, self._path = keep, where

    def _copy_up(self, folder: int, name: str, entry: Entry) -> None:
        """The hard link's target lies in a lower layer: bring it here first, as overlayfs would."""
        path = join(self._path, name)
        below = self._lower.lstat(path)
        if below is None or below.kind != "file":
            raise LayerError(f"{entry.path} is a hard link to {entry.link}, which is not there")
        self.used_lower = True
        source = self._lower.open(path)
        try:
            self._file(folder, name, below, iter(lambda: os.read(source, 1 << 20), b""))
        finally:
            os.close(source)

    def _folder_attributes(self, folder: int, path: str, entry: Entry) -> None:
        """Like `_attributes`; what would change with later members, or stand in their way, waits for the end."""
        self._attributes(folder, path, entry)
        self._times[path] = entry.mtime
        if not self._owners:
            self._modes[path] = entry.mode if self._records is None else open_mode(entry)
            os.fchmod(folder, 0o700)

    def _attributes(self, file: int, path: str, entry: Entry) -> None:
        if self._owners:
            os.fchown(file, entry.uid, entry.gid)
        if self._records is not None:
            self._records.add(path, entry)
        os.fchmod(file, entry.mode if self._records is None else open_mode(entry))
        if entry.xattrs:
            write_xattrs(file, entry.xattrs)


def _remove(parent: int, name: str) -> None:
    """Take away what this layer has put at `name` before, folders with all they hold."""
    try:
        os.unlink(name, dir_fd=parent)
        return
    except IsADirectoryError:
        pass
    import shutil

    shutil.rmtree(name, dir_fd=parent)
