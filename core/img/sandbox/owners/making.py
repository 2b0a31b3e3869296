"""Calls that make files. The recorder makes them itself, under the umask of who asks, and notes whose they are.

So no inode is ever used again without the recorder knowing. An open file that comes of it is handed over. Where the kernel
may do a call without a new file coming of it, it does.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from img.sandbox.owners import calls
from img.sandbox.owners.asking import check
from img.sandbox.owners.identity import Identity
from img.sandbox.owners.links import alone, ready
from img.sandbox.owners.listener import Call, read, read_path
from img.sandbox.owners.table import may
from img.sandbox.owners.where import (
    DONE,
    HERE,
    LINKS,
    Reply,
    Served,
    Where,
    named,
    open_path,
    own,
    process_of,
    reach,
    signed,
    status_of,
    where,
)

_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
_PATH_ONLY = os.O_PATH | os.O_CLOEXEC
_OF_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Parent(NamedTuple):
    """The folder that something is made in, and the name there."""

    folder: int
    name: bytes
    status: os.stat_result


@contextmanager
def _parent(served: Served, call: Call, place: Where) -> Iterator[Parent | None]:
    """Where `place` would be made; None if nothing can be, and the kernel has the right error. Raises `OSError`."""
    head, slash, name = place.path.rstrip(b"/").rpartition(b"/")
    if name in (b"", b".", b"..") or place.itself:
        yield None
        return
    start = Where(place.folder, head + slash if slash else b".")
    folder = open_path(served, call, start)
    try:
        status = os.fstat(folder)
        if not stat.S_ISDIR(status.st_mode):
            raise OSError(errno.ENOTDIR, "folder")
        if status.st_dev in served.systems:
            yield None
            return
        yield Parent(folder, name, status)
    finally:
        os.close(folder)


def _let_in(served: Served, by: Identity, parent: Parent) -> None:
    """Raises `OSError` (EACCES) unless somebody may make files in the folder."""
    if by.users.files != 0:
        reach(served, by, parent.folder)
        if not may(by, parent.status, served.table.of(parent.status), 3):
            raise OSError(errno.EACCES, "folder")


@contextmanager
def _umask(served: Served, call: Call) -> Iterator[None]:
    """Have the umask of who asks."""
    _, _, rest = status_of(served, call.pid).partition(b"\nUmask:")
    call.check()
    old = os.umask(int(rest.split(None, 1)[0], 8))
    try:
        yield
    finally:
        os.umask(old)


# --- open ----------------------------------------------------------------------------------------------------------


def open_(served: Served, call: Call) -> Reply:
    path, flags, mode = call.args[:3]
    return _open(served, call, HERE, path, flags, mode)


def creat(served: Served, call: Call) -> Reply:
    path, mode = call.args[:2]
    return _open(served, call, HERE, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)


def openat(served: Served, call: Call) -> Reply:
    folder, path, flags, mode = call.args[:4]
    return _open(served, call, folder, path, flags, mode)


def openat2(served: Served, call: Call) -> Reply:
    """openat2(2). Its ways of resolving a path can't be had together with making a file: that is as on an old kernel."""
    folder, path, how, size = call.args[:4]
    flags, mode, resolve = struct.unpack("=QQQ", read(call, how, 24)) if 24 <= size <= 4096 else (0, 0, 0)
    if not flags & (os.O_CREAT | _TMPFILE):
        return None
    if resolve:
        raise OSError(errno.ENOSYS, "openat2")
    return _open(served, call, folder, path, flags, mode)


def _open(served: Served, call: Call, folder: int, address: int, flags: int, mode: int) -> Reply:
    by = served.identities.of(call.pid)
    flags = signed(flags)
    if flags & os.O_PATH:
        flags &= _OF_PATH  # the kernel ignores the others
    new = flags & (os.O_CREAT | _TMPFILE)
    changes = flags & (os.O_ACCMODE | os.O_TRUNC)
    if not new and not changes and by.users.files == 0:
        return None
    path = read_path(call, address)
    if not path:
        raise OSError(errno.ENOENT, "path")
    place = where(served, call, folder, path)
    if not new:
        if by.users.files != 0:
            check(served, call, place, by, _wanted(flags), follow=not flags & os.O_NOFOLLOW)
        if changes:
            ready(served, call, place, follow=not flags & os.O_NOFOLLOW)
        return None
    if flags & _TMPFILE:
        return _nameless(served, call, place, by, flags, mode)
    if flags & os.O_DIRECTORY or path.endswith(b"/"):
        return None
    return _make_or_open(served, call, place, by, flags, mode)


def _wanted(flags: int) -> int:
    wanted = {os.O_RDONLY: 4, os.O_WRONLY: 2}.get(flags & os.O_ACCMODE, 6)
    if flags & os.O_PATH:
        return 0
    return wanted | 2 if flags & os.O_TRUNC else wanted


def _make_or_open(served: Served, call: Call, place: Where, by: Identity, flags: int, mode: int) -> Reply:
    """Open what is there, or make it; begin again when it comes or goes meanwhile, and where a link leads nowhere."""
    for _ in range(LINKS):
        if not flags & os.O_EXCL:
            try:
                return _open_there(served, call, place, by, flags)
            except FileNotFoundError:
                if own(served, call, place, not flags & os.O_NOFOLLOW) is not None:
                    return None
        with _parent(served, call, place) as parent:
            if parent is None:
                return None
            try:
                return _open_new(served, call, parent, by, flags, mode)
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
            place = _led_on(served, place, parent, flags)
    raise OSError(errno.ELOOP, "open")


def _led_on(served: Served, place: Where, parent: Parent, flags: int) -> Where:
    """Where a link leads that stands in the way of a new file. Raises `OSError` (ELOOP) if it must not be followed."""
    try:
        target = os.readlink(parent.name, dir_fd=parent.folder)
    except OSError:
        return place  # it is no link
    if flags & os.O_NOFOLLOW:
        raise OSError(errno.ELOOP, "open")
    above = os.readlink(b"self/fd/%d" % parent.folder, dir_fd=served.proc)
    return Where(HERE, os.path.join(above, target))


def _open_there(served: Served, call: Call, place: Where, by: Identity, flags: int) -> Reply:
    """Open a file that is there. Raises `FileNotFoundError`."""
    there = os.open(place.path, _PATH_ONLY | flags & os.O_NOFOLLOW, dir_fd=place.folder)
    try:
        call.check()
        status = os.fstat(there)
        if status.st_dev in served.systems or not stat.S_ISREG(status.st_mode):
            return None
        if by.users.files != 0:
            check(served, call, place, by, _wanted(flags))
        if flags & (os.O_ACCMODE | os.O_TRUNC):
            there, _ = alone(served, call, there, status)
        left_out = os.O_CREAT | os.O_NOFOLLOW
        file = os.open(b"self/fd/%d" % there, flags & ~left_out | os.O_CLOEXEC, dir_fd=served.proc)
    finally:
        os.close(there)
    return _hand_over(served, call, file, flags)


def _open_new(served: Served, call: Call, parent: Parent, by: Identity, flags: int, mode: int) -> Reply:
    if by.users.files != 0 and not _exists(parent):
        _let_in(served, by, parent)
    with _umask(served, call):
        flags |= os.O_EXCL
        file = os.open(parent.name, flags | os.O_CLOEXEC, mode & 0o7777, dir_fd=parent.folder)
    served.table.made(os.fstat(file), parent.status, by)
    return _hand_over(served, call, file, flags)


def _exists(parent: Parent) -> bool:
    try:
        os.stat(parent.name, dir_fd=parent.folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _nameless(served: Served, call: Call, place: Where, by: Identity, flags: int, mode: int) -> Reply:
    """O_TMPFILE: a file that may get a name later."""
    folder = open_path(served, call, place)
    try:
        parent = Parent(folder, b"", os.fstat(folder))
        _let_in(served, by, parent)
        with _umask(served, call):
            file = os.open(b"self/fd/%d" % folder, flags | os.O_CLOEXEC, mode & 0o7777, dir_fd=served.proc)
        served.table.made(os.fstat(file), parent.status, by)
    finally:
        os.close(folder)
    return _hand_over(served, call, file, flags)


def _hand_over(served: Served, call: Call, file: int, flags: int) -> Reply:
    try:
        served.listener.hand_over(call, file, flags & os.O_CLOEXEC)
    finally:
        os.close(file)
    return DONE


# --- everything else that has a name -----------------------------------------------------------------------------------


def mkdir(served: Served, call: Call) -> Reply:
    path, mode = call.args[:2]
    return _mkdir(served, call, named(served, call, HERE, path), mode)


def mkdirat(served: Served, call: Call) -> Reply:
    folder, path, mode = call.args[:3]
    return _mkdir(served, call, named(served, call, folder, path), mode)


def _mkdir(served: Served, call: Call, place: Where, mode: int) -> Reply:
    by = served.identities.of(call.pid)
    with _parent(served, call, place) as parent:
        if parent is None:
            return None
        if not _exists(parent):
            _let_in(served, by, parent)
        with _umask(served, call):
            os.mkdir(parent.name, mode & 0o7777, dir_fd=parent.folder)
        return _made(served, parent, by)


def symlink(served: Served, call: Call) -> Reply:
    target, path = call.args[:2]
    return _symlink(served, call, target, named(served, call, HERE, path))


def symlinkat(served: Served, call: Call) -> Reply:
    target, folder, path = call.args[:3]
    return _symlink(served, call, target, named(served, call, folder, path))


def _symlink(served: Served, call: Call, target: int, place: Where) -> Reply:
    by = served.identities.of(call.pid)
    if place.path.endswith(b"/"):
        return None
    with _parent(served, call, place) as parent:
        if parent is None:
            return None
        if not _exists(parent):
            _let_in(served, by, parent)
        leads = read_path(call, target)
        call.check()
        os.symlink(leads, parent.name, dir_fd=parent.folder)
        return _made(served, parent, by)


def mknod(served: Served, call: Call) -> Reply:
    path, mode, device = call.args[:3]
    return _mknod(served, call, named(served, call, HERE, path), mode, device)


def mknodat(served: Served, call: Call) -> Reply:
    folder, path, mode, device = call.args[:4]
    return _mknod(served, call, named(served, call, folder, path), mode, device)


def _mknod(served: Served, call: Call, place: Where, mode: int, device: int) -> Reply:
    """mknod(2). A device node is a socket on the disk: nobody can open either."""
    by = served.identities.of(call.pid)
    if place.path.endswith(b"/"):
        return None
    kind, stands_for = stat.S_IFMT(mode & 0xFFFF), ""
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        numbers = os.major(device & 0xFFFFFFFF), os.minor(device & 0xFFFFFFFF)
        if not by.root or numbers == (0, 0):
            raise OSError(errno.EPERM, "mknod")
        stands_for = f"{'c' if kind == stat.S_IFCHR else 'b'}:{numbers[0]}:{numbers[1]}"
        kind = stat.S_IFSOCK
    with _parent(served, call, place) as parent:
        if parent is None:
            return None
        if not _exists(parent):
            _let_in(served, by, parent)
        with _umask(served, call):
            os.mknod(parent.name, kind | mode & 0o7777, dir_fd=parent.folder)
        return _made(served, parent, by, stands_for)


def _made(served: Served, parent: Parent, by: Identity, device: str = "") -> Reply:
    with suppress(FileNotFoundError):  # somebody moved it at once
        status = os.stat(parent.name, dir_fd=parent.folder, follow_symlinks=False)
        served.table.made(status, parent.status, by, device)
    return 0


_FAMILY = struct.Struct("=H")


def bind(served: Served, call: Call) -> Reply:
    """bind(2) of a socket to a path."""
    descriptor, address, size = call.args[:3]
    if not 3 <= size <= 110:
        return None
    data = read(call, address, size)
    path = data[2:].split(b"\0", 1)[0]
    if _FAMILY.unpack_from(data)[0] != socket.AF_UNIX or not path:
        return None
    by = served.identities.of(call.pid)
    with _parent(served, call, where(served, call, HERE, path)) as parent:
        if parent is None:
            return None
        if not _exists(parent):
            _let_in(served, by, parent)
        with taken(served, call, signed(descriptor)) as mine, _umask(served, call):
            os.fchdir(parent.folder)
            try:
                mine.bind(parent.name)
            finally:
                os.fchdir(served.root)
        return _made(served, parent, by)


@contextmanager
def taken(served: Served, call: Call, descriptor: int) -> Iterator[socket.socket]:
    """A socket of who asks (pidfd_getfd(2)). Raises `OSError`."""
    process = process_of(served, call)
    try:
        file = calls.pidfd_getfd(process, descriptor)
    finally:
        os.close(process)
    with socket.socket(fileno=file) as mine:
        yield mine


ANSWERS = {
    "open": open_,
    "creat": creat,
    "openat": openat,
    "openat2": openat2,
    "mkdir": mkdir,
    "mkdirat": mkdirat,
    "symlink": symlink,
    "symlinkat": symlinkat,
    "mknod": mknod,
    "mknodat": mknodat,
    "bind": bind,
}
