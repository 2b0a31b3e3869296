"""A local context as a tree: a folder of this machine seen through ignore rules, with a stat index for its digests."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from img.errors import FileError
from img.files.content import file_digest
from img.files.entry import Entry
from img.files.patterns import Ignore
from img.files.view import LINKS, entry_of

Stat = tuple[int, int, int, int, str]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH = 2_000_000_000
"""Nanoseconds for which a file counts as just written: its time stamps can't yet tell a later write from this one."""


class Index(Protocol):
    """Where stats are kept between builds (`img.store.memory.Stats`)."""

    def load(self, root: str) -> dict[str, Stat]: ...

    def save(self, root: str, rows: Mapping[str, Stat]) -> None: ...


class FolderTree:
    """The files of the folder `root` that `ignore` leaves. Paths are relative to it; nothing outside is reachable.

    Entries have the owner 0:0, as everything that comes from a context has in an image.
    """

    def __init__(self, root: str, ignore: Sequence[str], index: Index | None = None) -> None:
        self._root = os.path.realpath(root)
        self._ignore = Ignore(ignore)
        self._states: dict[str, tuple[bool, tuple[bool, ...]]] = {"": (False, self._ignore.start)}
        self._index = index
        self._known: dict[str, Stat] | None = None
        self._fresh: dict[str, Stat] = {}

    def lstat(self, path: str) -> Entry | None:
        """The entry at `path`, None if there is none or it is ignored. Links on the way are not followed."""
        source = f"{self._root}/{path}" if path else self._root
        try:
            status = os.lstat(source)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FileError(f"can't read {source}: {error.strerror}") from error
        if path and self._hidden(path, stat.S_ISDIR(status.st_mode)):
            return None
        return self._entry(path, source, status)

    def open(self, entry: Entry) -> int:
        """A descriptor of an entry that is a file. Whatever has become a link meanwhile, on the way too, is not followed, nor
        is anything waited for that is no file any more. Raises `OSError`."""
        folder = os.open(self._root, _FOLDER)
        try:
            *parents, name = entry.path.split("/")
            for part in parents:
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.ESTALE, "it is no file any more", entry.source)
        return file

    def children(self, path: str) -> Iterator[Entry]:
        """The entries in the folder `path`, in the order of their bytes."""
        source = f"{self._root}/{path}" if path else self._root
        try:
            with os.scandir(source) as files:
                found = sorted(files, key=lambda file: os.fsencode(file.name))
        except OSError as error:
            raise FileError(f"can't read the folder {source}: {error.strerror}", hint="check its mode") from error
        for file in found:
            inner = f"{path}/{file.name}" if path else file.name
            if self._ignore and self._hidden(inner, file.is_dir(follow_symlinks=False)):
                continue
            try:
                status = file.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield self._entry(inner, file.path, status)

    def resolve(self, path: str) -> str:
        """`path` with its links followed inside the root, also one at its end; ``..`` stops at the root."""
        pending = [part for part in path.split("/") if part]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop(0)
            if part in (".", ".."):
                if part == "..":
                    del done[-1:]
                continue
            here = "/".join((*done, part))
            try:
                link = os.readlink(f"{self._root}/{here}")
            except OSError:
                done.append(part)
                continue
            links += 1
            if links > LINKS:
                raise FileError(f"too many symbolic links in {path}", hint="look for a link that leads to itself")
            if posixpath.isabs(link):
                done.clear()
            pending[:0] = [piece for piece in link.split("/") if piece]
        return "/".join(done)

    def ignored(self, path: str) -> bool:
        """Whether something is there, but ignored."""
        return os.path.lexists(f"{self._root}/{path}") and self.lstat(path) is None

    def identity(self, entry: Entry) -> tuple[int, int] | None:
        """Device and inode of a file with more than one name, for finding hard links."""
        status = os.lstat(entry.source)
        return (status.st_dev, status.st_ino) if status.st_nlink > 1 else None

    def digested(self, entry: Entry) -> Entry:
        """A file's entry with its digest, from the index if the file has not changed since."""
        status = os.lstat(entry.source)
        key = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._stats().get(entry.path)
        if known is not None and known[:4] == key:
            return entry._replace(digest=known[4])
        try:
            digest = file_digest(entry.source)
        except OSError as error:
            raise FileError(
                f"can't read {entry.source}: {error.strerror}", hint="check its mode, or ignore it"
            ) from error
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > FRESH:
            self._fresh[entry.path] = (*key, digest)
        return entry._replace(digest=digest)

    def save(self) -> None:
        """Keep what was learnt for the next build."""
        if self._index is not None and self._fresh:
            self._index.save(self._root, self._fresh)
            self._fresh = {}

    def _stats(self) -> dict[str, Stat]:
        if self._known is None:
            self._known = self._index.load(self._root) if self._index is not None else {}
        return self._known

    def _entry(self, path: str, source: str, status: os.stat_result) -> Entry:
        return entry_of(path, source, status)._replace(uid=0, gid=0, opaque=False)

    def _hidden(self, path: str, folder: bool) -> bool:
        """Whether the ignore rules take `path` away. An ignored folder stays if something below it is kept."""
        if not self._ignore:
            return False
        excluded, _ = self._state(path)
        if not excluded:
            return False
        return not (folder and self._ignore.inverts and self._holds_something(path))

    def _state(self, path: str) -> tuple[bool, tuple[bool, ...]]:
        known = self._states.get(path)
        if known is None:
            head = path.rpartition("/")[0]
            known = self._ignore.enter(self._state(head)[1], path)
            self._states[path] = known
        return known

    def _holds_something(self, path: str) -> bool:
        try:
            return any(True for _ in self.children(path))
        except FileError:
            return False
