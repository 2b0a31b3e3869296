"""A stack of layer trees seen as one filesystem, without mounting anything."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence

from img.errors import FileError
from img.files.entry import Entry, Kind
from img.files.records import read_records, recorded
from img.files.whiteouts import is_whiteout
from img.files.xattrs import OPAQUE, read_xattrs

LINKS = 40
"""Symbolic links followed in one path before it counts as a loop, as in the kernel."""

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def entry_of(path: str, source: str, status: os.stat_result) -> Entry:
    """The entry `path` as the file `source` on disk stands for it in a tree; whiteouts and opaque marks understood."""
    if is_whiteout(status):
        return Entry(path, "whiteout", source=source)
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    link, device, opaque = "", (0, 0), False
    if kind == "symlink":
        link = os.readlink(source)
    elif kind in ("char", "block"):
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    xattrs, opaque = read_xattrs(source)
    return Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if kind == "file" else 0,
        status.st_mtime_ns,
        link,
        device,
        xattrs,
        "",
        opaque and kind == "dir",
        source,
    )


class View:
    """The merged, read-only view of `trees`, bottom up. Paths are relative to the root, which is "".

    No method follows a symlink out of the root. Raises `FileError` for loops.
    """

    def __init__(self, trees: Sequence[str]) -> None:
        self._trees = tuple(reversed(trees))
        self._stacks: dict[str, tuple[str, ...]] = {"": self._trees}
        self._recorded = {tree: rows for tree in self._trees if (rows := read_records(tree)) is not None}

    def lstat(self, path: str) -> Entry | None:
        """The entry at `path`, not following a symlink at its end or on the way; None if there is none."""
        found = self._find(path)
        if found is None:
            return None
        entry = entry_of(path, *found)
        if self._recorded:
            tree = found[0][: -len(path) - 1] if path else found[0]
            entry = recorded(entry, self._recorded.get(tree))
        return entry

    def locate(self, path: str) -> str | None:
        """Where on disk the file at `path` is."""
        found = self._find(path)
        return found[0] if found else None

    def listdir(self, path: str) -> list[str]:
        """Names in the folder `path`, in the order of their bytes; empty if it is not a folder."""
        names: set[str] = set()
        hidden: set[str] = set()
        for folder in self._stack(path):
            with os.scandir(folder) as files:
                for file in files:
                    if file.name in names or file.name in hidden:
                        continue
                    (hidden if _is_whiteout(file) else names).add(file.name)
        return sorted(names, key=os.fsencode)

    def readlink(self, path: str) -> str:
        """What the symlink at `path` says."""
        found = self._find(path)
        if found is None:
            raise FileError(f"there is no symbolic link /{path}")
        return os.readlink(found[0])

    def resolve(self, path: str, *, final: bool = True) -> str:
        """`path` with every symlink in it followed, inside the root; with `final` False not a symlink at its end.

        Parts that do not exist stay as they are; ``..`` never leads above the root.
        """
        pending = [part for part in path.split("/") if part]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop(0)
            if part == ".":
                continue
            if part == "..":
                del done[-1:]
                continue
            target = self._link("/".join((*done, part))) if final or pending else None
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > LINKS:
                raise FileError(f"too many symbolic links in {path}", hint="look for a link that leads to itself")
            if posixpath.isabs(target):
                done.clear()
            pending[:0] = [piece for piece in target.split("/") if piece]
        return "/".join(done)

    def _link(self, path: str) -> str | None:
        """What the symlink at `path` says; None if there is none."""
        found = self._find(path)
        return os.readlink(found[0]) if found is not None and stat.S_ISLNK(found[1].st_mode) else None

    def open(self, path: str) -> int:
        """A descriptor of the file at `path` for reading. Raises `FileError` if there is no regular file."""
        found = self._find(path)
        if found is None or not stat.S_ISREG(found[1].st_mode):
            raise FileError(f"there is no file /{path}")
        return os.open(found[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _find(self, path: str) -> tuple[str, os.stat_result] | None:
        head, _, name = path.rpartition("/")
        if not name:
            return (self._trees[0], os.lstat(self._trees[0])) if self._trees else None
        for folder in self._stack(head):
            place = f"{folder}/{name}"
            try:
                status = os.lstat(place)
            except (FileNotFoundError, NotADirectoryError):
                continue
            return None if is_whiteout(status) else (place, status)
        return None

    def _stack(self, path: str) -> tuple[str, ...]:
        """The folders on disk that together make the folder `path`, top first; empty if it is none."""
        known = self._stacks.get(path)
        if known is None:
            known = self._stacks[path] = self._make_stack(path)
        return known

    def _make_stack(self, path: str) -> tuple[str, ...]:
        head, _, name = path.rpartition("/")
        folders: list[str] = []
        for folder in self._stack(head):
            place = f"{folder}/{name}"
            try:
                mode = os.lstat(place).st_mode
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(mode):
                break
            folders.append(place)
            if _is_opaque(place):
                break
        return tuple(folders)


def _is_opaque(place: str) -> bool:
    try:
        return OPAQUE in os.listxattr(place, follow_symlinks=False)
    except OSError:
        return False


def _is_whiteout(file: os.DirEntry[str]) -> bool:
    if file.is_file(follow_symlinks=False) or file.is_dir(follow_symlinks=False) or file.is_symlink():
        return False
    return is_whiteout(file.stat(follow_symlinks=False))
