"""A plain copy of a stack of trees, for a step on a machine where nothing can be mounted.

Trees are laid over each other one by one. Hard links are not kept: overlayfs breaks them when one of the names is
written to, and a copy where they hold would show changes under names that an overlay leaves alone.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator

from img.files.entry import Entry
from img.files.owners import Owners
from img.files.records import read_records, recorded
from img.files.view import entry_of
from img.files.xattrs import write_xattrs
from img.oci.diff import make_node, remove_tree

CHUNK = 1 << 24
FICLONE = 0x40049409

Attributes = tuple[str, Entry]


def lay(tree: str, root: str, owners: Owners | None = None) -> None:
    """Lay the layer in `tree` over the folder `root`. Raises `OSError`. Devices that may not be made are left out. With
    `owners` they are kept there, everything on the disk is this process's own, and hard links are kept: the recorder parts
    them (`img.sandbox.owners.links`)."""
    folders: list[Attributes] = []
    names: dict[tuple[int, int], str] = {}
    rows = read_records(tree)
    for found in _entries(tree):
        entry = recorded(found, rows)
        if owners is not None and entry.kind != "whiteout":
            entry = owners.keep(entry)
        place = f"{root}/{entry.path}" if entry.path else root
        if entry.kind == "dir":
            _lay_folder(entry, place)
            folders.append((place, entry))
        else:
            _clear(place)
            if entry.kind != "whiteout" and not (owners is not None and _joined(found.source, place, names)):
                copy_file(entry, place)
    for place, entry in reversed(folders):
        set_folder(place, entry)


def _joined(source: str, place: str, names: dict[tuple[int, int], str]) -> bool:
    """Whether a file is in the copy already under another name, and now under this one too."""
    status = os.lstat(source)
    first = names.setdefault((status.st_dev, status.st_ino), place) if status.st_nlink > 1 else place
    if first == place:
        return False
    os.link(first, place, follow_symlinks=False)
    return True


def _entries(tree: str) -> Iterator[Entry]:
    """Parents first, the order of names is the disk's."""
    stack = [""]
    while stack:
        path = stack.pop()
        source = f"{tree}/{path}" if path else tree
        yield entry_of(path, source, os.lstat(source))
        with os.scandir(source) as files:
            for file in files:
                below = f"{path}/{file.name}" if path else file.name
                if file.is_dir(follow_symlinks=False):
                    stack.append(below)
                else:
                    yield entry_of(below, file.path, file.stat(follow_symlinks=False))


def _lay_folder(entry: Entry, place: str) -> None:
    if entry.opaque or not _is_folder(place):
        if entry.path or entry.opaque:
            _clear(place)
        os.mkdir(place, 0o700)


def _is_folder(place: str) -> bool:
    return os.path.isdir(place) and not os.path.islink(place)


def _clear(place: str) -> None:
    if _is_folder(place):
        remove_tree(place)
    elif os.path.lexists(place):
        os.unlink(place)


def set_folder(place: str, entry: Entry) -> None:
    """Give a folder the attributes of `entry`; its time last, when nothing is written into it any more."""
    os.chown(place, entry.uid, entry.gid)
    os.chmod(place, entry.mode)
    write_xattrs(place, entry.xattrs)
    os.utime(place, ns=(entry.mtime, entry.mtime))


def copy_file(entry: Entry, place: str) -> None:
    """Make what `entry` says at the free `place`, a file's bytes from its `source`: shared with it where the filesystem
    can (FICLONE, copy_file_range(2)), else copied."""
    if entry.kind == "file":
        _copy_bytes(entry, place)
    elif entry.kind == "socket":
        os.mknod(place, stat.S_IFSOCK | 0o600)
        os.chown(place, entry.uid, entry.gid)
        os.chmod(place, entry.mode)
        os.utime(place, ns=(entry.mtime, entry.mtime))
    elif entry.kind in ("char", "block"):
        try:
            make_node(entry, place)
        except PermissionError:
            if os.path.lexists(place):
                raise
    else:
        make_node(entry, place)


def _copy_bytes(entry: Entry, place: str) -> None:
    source = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        dest = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if entry.size:
                _share(source, dest)
            os.fchown(dest, entry.uid, entry.gid)
            os.fchmod(dest, entry.mode)
            if entry.xattrs:
                write_xattrs(dest, entry.xattrs)
            os.utime(dest, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(dest)
    finally:
        os.close(source)


def _share(source: int, dest: int) -> None:
    try:
        fcntl.ioctl(dest, FICLONE, source)
        return
    except OSError:
        pass
    try:
        while os.copy_file_range(source, dest, CHUNK):
            pass
        return
    except OSError:
        os.lseek(source, 0, os.SEEK_SET)
        os.lseek(dest, 0, os.SEEK_SET)
    while data := os.read(source, CHUNK):
        view = memoryview(data)
        while view:
            view = view[os.write(dest, view) :]
