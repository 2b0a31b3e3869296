"""Where a path leads that another process named.

The recorder has the step's root for its own, and reaches the current folder and the descriptors of a process through its
/proc: ``PID/cwd/…`` and ``PID/fd/N/…``, as openat(2) would. So one system call both follows the path and answers about
what is there, and what a path in memory says meanwhile is of no matter: it was read once.

``/proc/self`` is another one's. It leads nowhere for the recorder, which is in no process namespace of the step's; `own`
then says where it leads for the process.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from img.sandbox.owners.identity import Identities, Identity
from img.sandbox.owners.listener import Call, Listener, read_path
from img.sandbox.owners.table import Table, may

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = -100
"""AT_FDCWD."""
EMPTY_PATH, NO_FOLLOW = 0x1000, 0x100
LINKS = 40

Reply = int | None
"""What a call returns; `DONE` if it was answered, None if the kernel is to do it."""
DONE = -1


@dataclass(slots=True)
class Served:
    """What a recorder has of its step."""

    listener: Listener
    table: Table
    identities: Identities
    proc: int
    """A descriptor of a /proc where the step's processes have the numbers that the listener gives."""
    root: int
    systems: frozenset[int]
    """Devices of filesystems that are the kernel's own: nothing is made there, and owners are as it says."""
    chrooted: bool = False
    """Whether some process has, or had, another root than the step's."""
    rooted: os.stat_result = field(default_factory=lambda: os.stat("/"))


class Where(NamedTuple):
    """A path relative to a descriptor."""

    folder: int
    path: bytes
    itself: bool = False
    """It is a descriptor of the process: a link to be followed."""


def signed(word: int) -> int:
    """An int, as it stands in a register."""
    word &= 0xFFFFFFFF
    return word - (1 << 32) if word >> 31 else word


def where(served: Served, call: Call, folder: int, path: bytes, flags: int = 0) -> Where:
    """What `path`, relative to the register `folder`, is. Raises `OSError` (ENOENT for an empty one)."""
    if path.startswith(b"/"):
        return Where(HERE, path)
    number = signed(folder)
    start = b"%d/cwd" % call.pid if number == HERE else b"%d/fd/%d" % (call.pid, number)
    if path:
        return Where(served.proc, b"%b/%b" % (start, path))
    if flags & EMPTY_PATH:
        return Where(served.proc, start, True)
    raise OSError(errno.ENOENT, "path")


def named(served: Served, call: Call, folder: int, address: int, flags: int = 0) -> Where:
    """`where`, of the path at an address."""
    path = read_path(call, address) if address else b""
    return where(served, call, folder, path, flags)


def described(served: Served, call: Call, descriptor: int) -> Where:
    """What is open as the register `descriptor`."""
    return Where(served.proc, b"%d/fd/%d" % (call.pid, signed(descriptor)), True)


def open_path(served: Served, call: Call, place: Where, *, follow: bool = True) -> int:
    """A descriptor that stands for what is there (O_PATH): what was read of who asks until then was its own. Raises
    `OSError`."""
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow or place.itself else os.O_NOFOLLOW)
    try:
        found = os.open(place.path, flags, dir_fd=place.folder)
    except FileNotFoundError:
        other = own(served, call, place, follow)
        if other is None:
            raise missing(served, call, place) from None
        found = os.open(other, flags)
    try:
        call.check()
    except OSError:
        os.close(found)
        raise
    return found


def missing(served: Served, call: Call, place: Where) -> OSError:
    """The error for a path that leads nowhere: EBADF if its descriptor is none."""
    if place.folder == served.proc and b"/fd/" in place.path[:20]:
        descriptor = b"/".join(place.path.split(b"/")[:3])
        if not _is_there(descriptor, served.proc):
            return OSError(errno.EBADF, "descriptor")
    return OSError(errno.ENOENT, "path")


def _is_there(path: bytes, folder: int) -> bool:
    try:
        os.stat(path, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def own(served: Served, call: Call, place: Where, follow: bool = True) -> bytes | None:
    """Where a path that leads nowhere leads for the process itself, by way of ``/proc/self``; None if nowhere."""
    path = absolute(served, place)
    for _ in range(LINKS):
        path = path.replace(b"/dev/fd/", b"/proc/self/fd/", 1) if path.startswith(b"/dev/fd/") else path
        for name in (b"/proc/self", b"/proc/thread-self"):
            if path == name or path.startswith(name + b"/"):
                task = own_number(served, call.pid)
                return b"/proc/%b%b" % (task, path[len(name) :])
        try:
            status = os.lstat(path)
        except OSError:
            return None
        if not follow or not stat.S_ISLNK(status.st_mode):
            return None
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return None


def absolute(served: Served, place: Where) -> bytes:
    """A path from the root, by the place of the current folder now."""
    if place.folder != served.proc:
        return place.path
    parts = place.path.split(b"/")
    count = 2 if parts[1] == b"cwd" else 3
    try:
        start = os.readlink(b"/".join(parts[:count]), dir_fd=served.proc)
    except OSError:
        return place.path
    return os.path.join(start, *parts[count:])


def own_number(served: Served, pid: int) -> bytes:
    """The number of a process in the step's process namespace."""
    for line in status_of(served, pid).splitlines():
        if line.startswith(b"NSpid:"):
            return line.split()[-1]
    raise OSError(errno.ESRCH, "process")


def status_of(served: Served, pid: int) -> bytes:
    """/proc/PID/status. Raises `OSError` (ESRCH)."""
    try:
        file = os.open(b"%d/status" % pid, os.O_RDONLY | os.O_CLOEXEC, dir_fd=served.proc)
    except FileNotFoundError:
        raise OSError(errno.ESRCH, "process") from None
    try:
        return os.read(file, 16384)
    finally:
        os.close(file)


def reach(served: Served, by: Identity, folder: int) -> None:
    """Raises `OSError` (EACCES) unless somebody may go through the folder, and through those it is in."""
    if by.users.files == 0:
        return
    try:
        path = os.readlink(b"self/fd/%d" % folder, dir_fd=served.proc)
        places = [b"/"] + [path[:at] for at, byte in enumerate(path) if byte == 47 and at] + [path]
        for place in places:
            status = os.stat(place)
            if not may(by, status, served.table.of(status), 1):
                raise OSError(errno.EACCES, "folder")
    except FileNotFoundError:
        return  # it was moved or removed at this moment


def process_of(served: Served, call: Call) -> int:
    """A descriptor of the process that asks, which may be any thread of it (pidfd_open(2)). Raises `OSError`."""
    _, _, rest = status_of(served, call.pid).partition(b"\nTgid:")
    process = os.pidfd_open(int(rest.split(None, 1)[0]))
    try:
        call.check()
    except OSError:
        os.close(process)
        raise
    return process


@contextmanager
def root_of(served: Served, call: Call) -> Iterator[None]:
    """The recorder has the root of who asks meanwhile, if that is another than the step's. Raises `OSError`."""
    inside = os.open(b"%d/root" % call.pid, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=served.proc)
    try:
        call.check()
        status = os.fstat(inside)
        if (status.st_dev, status.st_ino) == (served.rooted.st_dev, served.rooted.st_ino):
            yield
            return
        os.fchdir(inside)
        os.chroot(".")
        yield
    finally:
        os.close(inside)
        os.fchdir(served.root)
        os.chroot(".")
