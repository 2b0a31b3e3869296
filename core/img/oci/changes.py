"""What changed in a folder, found by an index of it: for steps whose root is a plain copy.

The index keeps of every path what the kernel changes with the file: inode, size, times, mode, owner; of folders the time
they were made, since a removed folder's inode may be given to the next. No program can set a file's ctime. The copy of a
changed file goes into a tree in overlayfs' form, as an overlay's upper folder would have it (`img.oci.settle` removes
what only was touched).
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from typing import NamedTuple

from img.files.entry import Entry
from img.files.owners import Owners
from img.files.view import entry_of
from img.files.whiteouts import make_whiteout
from img.files.xattrs import OPAQUE
from img.oci.copies import copy_file, set_folder

Index = dict[str, "Mark"]

TICK = 0.02
"""Seconds: longer than the steps in which kernels count a file's times (10 ms at most)."""

_STATX_BTIME = 0x800
_BORN = 80
"""Offset of stx_btime in struct statx (statx(2))."""


class Mark(NamedTuple):
    """What tells a file from what it was before."""

    inode: int
    ctime: int
    mtime: int
    size: int
    mode: int
    uid: int
    gid: int
    born: bytes
    """Of a folder, when it was made, as the kernel writes it."""


def index(root: str) -> Index:
    """Every path below `root`. Changes that are made after this returns are seen by `collect`."""
    found: Index = {}
    stack = [""]
    while stack:
        path = stack.pop()
        source = f"{root}/{path}" if path else root
        found[path] = _mark(source, os.lstat(source))
        with os.scandir(source) as files:
            for file in files:
                below = f"{path}/{file.name}" if path else file.name
                if file.is_dir(follow_symlinks=False):
                    stack.append(below)
                else:
                    found[below] = _mark(file.path, file.stat(follow_symlinks=False))
    time.sleep(TICK)
    return found


def _mark(place: str, status: os.stat_result) -> Mark:
    born = _born(place) if stat.S_ISDIR(status.st_mode) else b""
    size = 0 if born else status.st_size
    return Mark(
        status.st_ino,
        status.st_ctime_ns,
        status.st_mtime_ns,
        size,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        born,
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _born(place: str) -> bytes:
    """When a file was made, if the filesystem knows (statx(2))."""
    buffer = ctypes.create_string_buffer(256)
    flags = 0x100  # AT_SYMLINK_NOFOLLOW
    done = _libc.statx(-100, os.fsencode(place), flags, ctypes.c_uint(_STATX_BTIME), buffer)
    if done or not int.from_bytes(buffer.raw[:4], "little" if _LITTLE else "big") & _STATX_BTIME:
        return b"-"
    return buffer.raw[_BORN : _BORN + 12]


_LITTLE = memoryview(b"\1\0").cast("H")[0] == 1


def collect(root: str, before: Index, upper: str, owners: Owners | None = None) -> None:
    """Put what changed below `root` since `before` was made into the folder `upper`, which may be empty or has the
    attributes of the root. Uses up `before`. With `owners`, which say whose each file of the root is, that becomes a
    recorded tree, and they are known by path afterwards. Raises `OSError`."""
    _Collecting(root, before, upper, owners).run()


class _Collecting:
    def __init__(self, root: str, before: Index, upper: str, owners: Owners | None) -> None:
        self._owners = owners
        self._root = root
        self._before = before
        self._upper = upper
        self._made: dict[str, Entry] = {}
        self._links: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        stack = [("", False)]
        there: set[str] = set()
        while stack:
            path, fresh = stack.pop()
            fresh = self._folder(path, fresh)
            if not fresh:
                there.add(path)
            with os.scandir(self._source(path)) as files:
                for file in files:
                    below = f"{path}/{file.name}" if path else file.name
                    if file.is_dir(follow_symlinks=False):
                        stack.append((below, fresh))
                    else:
                        self._file(below, file.stat(follow_symlinks=False), fresh)
        for path in self._before:
            if path.rpartition("/")[0] in there and not os.path.lexists(self._source(path)):
                self._folders(path.rpartition("/")[0])
                make_whiteout(f"{self._upper}/{path}")
        for path in sorted(self._made, key=len, reverse=True):
            set_folder(f"{self._upper}/{path}" if path else self._upper, self._made[path])

    def _source(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _folder(self, path: str, fresh: bool) -> bool:
        """Note a folder; returns whether it is not the one that was there."""
        source = self._source(path)
        status = os.lstat(source)
        now = _mark(source, status)
        if self._owners is not None:
            self._owners.seen(path, status)
        old = self._before.pop(path, None)
        another = old is None or not stat.S_ISDIR(old.mode) or (old.inode, old.born) != (now.inode, now.born)
        if fresh or now != old:
            self._folders(path)
        if another and not fresh and old is not None and stat.S_ISDIR(old.mode):
            os.setxattr(f"{self._upper}/{path}", OPAQUE, b"y")
        return fresh or another

    def _file(self, path: str, status: os.stat_result, fresh: bool) -> None:
        old = self._before.pop(path, None)
        source = self._source(path)
        if self._owners is not None:
            self._owners.seen(path, status)
        if not fresh and old == _mark(source, status):
            return
        self._folders(path.rpartition("/")[0])
        place = f"{self._upper}/{path}"
        name = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and name in self._links:
            os.link(self._links[name], place, follow_symlinks=False)
            if self._owners is not None:
                self._owners.records.alias(path, self._links[name][len(self._upper) + 1 :])
            return
        self._links[name] = place
        copy_file(self._entry(path, source, status), place)

    def _folders(self, path: str) -> None:
        """Make the folder `path` and those above it in the tree of changes."""
        if path in self._made:
            return
        if path:
            self._folders(path.rpartition("/")[0])
            os.mkdir(f"{self._upper}/{path}", 0o700)
        source = self._source(path)
        self._made[path] = self._entry(path, source, os.lstat(source))

    def _entry(self, path: str, source: str, status: os.stat_result) -> Entry:
        """What is to be put into the tree of changes."""
        entry = entry_of(path, source, status)
        return entry if self._owners is None else self._owners.record(entry, status)


def unlink_twins(root: str, upper: str) -> None:
    """Give every name of a hard link among the changes in `upper` a file of its own in `root`: see `img.oci.copies`."""
    stack = [""]
    while stack:
        path = stack.pop()
        with os.scandir(f"{upper}/{path}") as files:
            for file in files:
                below = f"{path}/{file.name}" if path else file.name
                if file.is_dir(follow_symlinks=False):
                    stack.append(below)
                    continue
                status = os.lstat(f"{root}/{below}") if os.path.lexists(f"{root}/{below}") else None
                if status is not None and status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
                    _alone(f"{root}/{below}", status)


def _alone(place: str, status: os.stat_result) -> None:
    folder = os.path.dirname(place)
    above = os.lstat(folder)
    fresh = f"{folder}/.{os.urandom(8).hex()}"
    copy_file(entry_of("", place, status), fresh)
    os.rename(fresh, place)
    os.utime(folder, ns=(above.st_atime_ns, above.st_mtime_ns))
