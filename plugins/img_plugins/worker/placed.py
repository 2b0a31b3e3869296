"""Mounts without mount(2): what a step is to see is put into its copied root, and taken out again after it.

What was at a target is moved aside meanwhile. Everything goes by descriptors of the folders that the targets are in, taken
before the step ran: wherever it moved them, or whatever links it made, nothing but what was put there is removed, and
nothing outside the root is touched. Times of folders stay.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from img.files.view import View, entry_of
from img.oci.copies import copy_file
from img.sandbox.root import DEVICES, LINKS
from img_plugins.worker.caches import copy_view
from img_plugins.worker.stubs import FOLDER, times_kept

Mount = dict[str, Any]

PROC = ("cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "uptime", "version")
"""Files of /proc that are the same for everybody, and that programs ask for the machine's size."""


class Placed(NamedTuple):
    """One thing that was put into the root."""

    folder: int
    """A descriptor of the folder it is in."""
    name: str
    aside: str
    """The name under which what was there before waits; empty if nothing was."""
    back: str
    """The cache that takes what the step left; empty for anything else."""


class Placement:
    """What is put into one root. `work` is an empty folder on the same filesystem."""

    def __init__(self, root: str, work: str, memory: int | None) -> None:
        self._root = os.open(root, FOLDER)
        os.mkdir(work, 0o700)
        self._work = work
        self._aside = os.open(work, FOLDER)
        self._memory = memory
        self._placed: list[Placed] = []
        self._made: list[tuple[int, str]] = []

    def system(self) -> None:
        """/proc, /sys and /dev, as far as they can be had."""
        self._put("/proc", _proc)
        self._put("/sys", lambda place: os.mkdir(place, 0o555))
        self._put("/dev", _dev)

    def mount(self, item: Mount) -> None:
        """One mount of a step (`img.sandbox.client.Sandbox.run`). Raises `OSError` naming the target if this rung can't
        give it."""
        kind, target = item["kind"], item["target"]
        if kind == "device" or (kind == "tmpfs" and item.get("size")):
            raise _refused("a device" if kind == "device" else "a tmpfs with a limit", target)
        if kind == "bind" and not item.get("file") and not item.get("kept"):
            raise _refused("a folder of the machine", target)
        keep = item["source"] if item.get("kept") and not item.get("readonly") else ""
        self._put(item.get("stub") or target, lambda place: self._make(item, place), keep)

    def _make(self, item: Mount, place: str) -> None:
        if item["kind"] == "tmpfs":
            os.mkdir(place)
            os.chmod(place, item.get("mode", 0o1777))
        elif item["kind"] == "secret":
            _secret(item, place, self._memory)
        elif item["kind"] == "view":
            _view(item, place)
        elif item.get("kept"):
            with _caches(item["source"], fcntl.LOCK_SH):
                copy_view(View([item["source"]]), "", place)
        else:
            _file(item["source"], place)

    def _put(self, target: str, make: Callable[[str], None], back: str = "") -> None:
        parts = [part for part in os.path.normpath(target).split("/") if part]
        if not parts:
            raise _refused("a mount on the root", target)
        *parents, name = parts
        folder = self._enter(parents)
        number = len(self._placed)
        with times_kept(folder):
            aside = ""
            try:
                os.rename(name, f"{number}", src_dir_fd=folder, dst_dir_fd=self._aside)
                aside = f"{number}"
            except FileNotFoundError:
                pass
            self._placed.append(Placed(folder, name, aside, back))
            fresh = f"{self._work}/new"
            make(fresh)
            os.rename(fresh, name, dst_dir_fd=folder)

    def _enter(self, parents: list[str]) -> int:
        """A descriptor of the folder, made where it is missing."""
        folder = os.dup(self._root)
        for part in parents:
            try:
                inner = os.open(part, FOLDER, dir_fd=folder)
            except FileNotFoundError:
                with times_kept(folder):
                    os.mkdir(part, 0o755, dir_fd=folder)
                self._made.append((os.dup(folder), part))
                inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return folder

    def take_out(self) -> None:
        """Undo everything, last things first; what the step left in caches goes back into the store."""
        while self._placed:
            self._take(self._placed.pop())
        for folder, name in reversed(self._made):
            with suppress(OSError), times_kept(folder):
                os.rmdir(name, dir_fd=folder)
            os.close(folder)
        self._made.clear()

    def _take(self, one: Placed) -> None:
        with times_kept(one.folder):
            if one.back:
                self._give_back(one)
            _remove(one.folder, one.name)
            if one.aside:
                with suppress(FileNotFoundError):  # the step removed the folder it was in
                    os.rename(one.aside, one.name, src_dir_fd=self._aside, dst_dir_fd=one.folder)
        os.close(one.folder)

    def _give_back(self, one: Placed) -> None:
        try:
            left = os.stat(one.name, dir_fd=one.folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(left.st_mode):
            return
        with _caches(one.back, fcntl.LOCK_EX):
            old = f"{self._work}/old-{one.aside or 'none'}-{len(self._placed)}"
            with suppress(FileNotFoundError):
                os.rename(one.back, old)
            os.rename(one.name, one.back, src_dir_fd=one.folder)


def _refused(what: str, target: str) -> OSError:
    return OSError(errno.EPERM, f"{what} can't be had without mount namespaces", target)


@contextmanager
def _caches(place: str, how: int) -> Iterator[None]:
    """While a cache is copied nobody puts another in its place."""
    folder = os.open(os.path.dirname(place), FOLDER)
    try:
        fcntl.flock(folder, how)
        yield
    finally:
        os.close(folder)


def _remove(folder: int, name: str) -> None:
    """Remove what is at `name`, by descriptors all the way."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _secret(item: Mount, place: str, memory: int | None) -> None:
    assert memory is not None
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(os.pread(memory, item["size"], item["at"]))
    os.chown(place, item["uid"], item["gid"])
    os.chmod(place, item["mode"])


def _view(item: Mount, place: str) -> None:
    view = View(item["lower"])
    if not item.get("file"):
        copy_view(view, item["path"], place)
        return
    entry = view.lstat(item["path"])
    assert entry is not None
    copy_file(entry, place)


def _file(source: str, place: str) -> None:
    """A file of the store or the machine; a socket by its inode, so that whoever listens on it is reached."""
    status = os.stat(source)
    if stat.S_ISSOCK(status.st_mode):
        os.link(source, place)
    else:
        copy_file(entry_of("", os.path.realpath(source), status), place)


def _proc(place: str) -> None:
    os.mkdir(place, 0o755)
    for name in PROC:
        with suppress(OSError), open(f"/proc/{name}", "rb") as source, open(f"{place}/{name}", "xb") as out:
            out.write(source.read(1 << 20))


def _device(place: str, number: int) -> None:
    """A device node that works: not one on a disk mounted with ``nodev``."""
    os.mknod(place, stat.S_IFCHR | 0o600, number)
    try:
        os.close(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    except PermissionError:
        os.unlink(place)
        raise
    except OSError:
        pass  # there is no terminal


def _dev(place: str) -> None:
    """The six devices; where not even they may be made, an empty file is the null device, and the rest is missing."""
    os.mkdir(place, 0o755)
    for name in DEVICES:
        try:
            status = os.stat(f"/dev/{name}")
            _device(f"{place}/{name}", status.st_rdev)
        except (PermissionError, FileNotFoundError):
            if name != "null":
                continue
            os.close(os.open(f"{place}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        os.chmod(f"{place}/{name}", 0o666)
    for target, link in LINKS[:4]:
        os.symlink(target, place + link.removeprefix("/dev"))
    for name in ("pts", "mqueue"):
        os.mkdir(f"{place}/{name}", 0o755)
    os.mkdir(f"{place}/shm")
    os.chmod(f"{place}/shm", 0o1777)
