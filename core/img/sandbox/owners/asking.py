"""Answers about files that are there: whose they are, giving them away, and who may use them."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable

from img.sandbox.owners import calls
from img.sandbox.owners.identity import KEEP, Identity
from img.sandbox.owners.links import alone
from img.sandbox.owners.listener import Call, write
from img.sandbox.owners.table import NOBODY, ROOT, Owner, may
from img.sandbox.owners.where import (
    EMPTY_PATH,
    HERE,
    NO_FOLLOW,
    Reply,
    Served,
    Where,
    described,
    missing,
    named,
    open_path,
    own,
    reach,
    signed,
)

_libc = ctypes.CDLL(None, use_errno=True)
_call = _libc.syscall
_call.restype = ctypes.c_long
_buffer = ctypes.create_string_buffer(256)
_machine = calls.here() or calls.MACHINES["x86_64"]
_STAT = ctypes.c_long(_machine.numbers["newfstatat"])
_STATX = ctypes.c_long(_machine.numbers["statx"])
_CHOWN = ctypes.c_long(_machine.numbers["fchownat"])
_KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}
_STATX_INO, _STATX_TYPE, _STATX_MODE, _STATX_OWNERS = 0x100, 0x1, 0x2, 0x18
EFFECTIVE = 0x200
"""AT_EACCESS."""
_LEFT_OUT = EMPTY_PATH | NO_FOLLOW


def _ask(served: Served, call: Call, place: Where, flags: int, ask: Callable[[int, bytes, int], int]) -> None:
    """Fill the buffer with the status of a file."""
    if place.itself:
        flags &= ~_LEFT_OUT
    if ask(place.folder, place.path, flags) >= 0:
        return
    number = ctypes.get_errno()
    if number == errno.ENOENT:
        other = own(served, call, place, not flags & NO_FOLLOW)
        if other is None:
            raise missing(served, call, place)
        if ask(HERE, other, flags) >= 0:
            return
        number = ctypes.get_errno()
    raise OSError(number, "status")


def _old(folder: int, path: bytes, flags: int) -> int:
    result: int = _call(_STAT, folder, path, _buffer, flags)
    return result


def _status(served: Served, call: Call, place: Where, flags: int, address: int) -> Reply:
    _ask(served, call, place, flags, _old)
    data = _buffer.raw[: _machine.stat_size]
    owner = served.table.get(struct.unpack_from("=QQ", data))
    uid, gid = struct.unpack_from("=II", data, _machine.owner_at)
    if owner is not None or uid == NOBODY or gid == NOBODY:
        data = _owned(bytearray(data), owner or ROOT)
    write(served.proc, call, address, data)
    return 0


def _owned(data: bytearray, owner: Owner) -> bytes:
    struct.pack_into("=II", data, _machine.owner_at, owner.uid, owner.gid)
    if owner.device:
        kind, major, minor = owner.device.split(":")
        (mode,) = struct.unpack_from("=I", data, _machine.mode_at)
        struct.pack_into("=I", data, _machine.mode_at, _KINDS[kind] | stat.S_IMODE(mode))
        struct.pack_into("=Q", data, _machine.device_at, os.makedev(int(major), int(minor)))
    return bytes(data)


def stat_(served: Served, call: Call) -> Reply:
    """stat(2)."""
    return _status(served, call, named(served, call, HERE, call.args[0]), 0, call.args[1])


def lstat(served: Served, call: Call) -> Reply:
    return _status(served, call, named(served, call, HERE, call.args[0]), NO_FOLLOW, call.args[1])


def fstat(served: Served, call: Call) -> Reply:
    return _status(served, call, described(served, call, call.args[0]), 0, call.args[1])


def newfstatat(served: Served, call: Call) -> Reply:
    folder, path, address, flags = call.args[:4]
    return _status(served, call, named(served, call, folder, path, flags), signed(flags), address)


def statx(served: Served, call: Call) -> Reply:
    """statx(2): its structure is the same on every machine."""
    folder, path, flags, mask, address = call.args[:5]
    place = named(served, call, folder, path, flags)
    more = mask & 0xFFFFFFFF | _STATX_INO

    def ask(folder: int, path: bytes, flags: int) -> int:
        result: int = _call(_STATX, folder, path, ctypes.c_int(flags), ctypes.c_uint(more), _buffer)
        return result

    _ask(served, call, place, signed(flags), ask)
    data = bytearray(_buffer.raw)
    uid, gid = struct.unpack_from("=II", data, 20)
    (inode,) = struct.unpack_from("=Q", data, 32)
    owner = served.table.get((os.makedev(*struct.unpack_from("=II", data, 136)), inode))
    if owner is not None or uid == NOBODY or gid == NOBODY:
        owner = owner or ROOT
        struct.pack_into("=II", data, 20, owner.uid, owner.gid)
        if owner.device:
            kind, major, minor = owner.device.split(":")
            (mode,) = struct.unpack_from("=H", data, 28)
            struct.pack_into("=H", data, 28, _KINDS[kind] | stat.S_IMODE(mode))
            struct.pack_into("=II", data, 128, int(major), int(minor))
    write(served.proc, call, address, bytes(data))
    return 0


# --- giving away ---------------------------------------------------------------------------------------------------


def chown(served: Served, call: Call) -> Reply:
    path, uid, gid = call.args[:3]
    return _give(served, call, open_path(served, call, named(served, call, HERE, path)), uid, gid)


def lchown(served: Served, call: Call) -> Reply:
    path, uid, gid = call.args[:3]
    return _give(served, call, open_path(served, call, named(served, call, HERE, path), follow=False), uid, gid)


def fchown(served: Served, call: Call) -> Reply:
    file, uid, gid = call.args[:3]
    return _give(served, call, open_path(served, call, described(served, call, file)), uid, gid)


def fchownat(served: Served, call: Call) -> Reply:
    folder, path, uid, gid, flags = call.args[:5]
    place = named(served, call, folder, path, flags)
    return _give(served, call, open_path(served, call, place, follow=not flags & NO_FOLLOW), uid, gid)


def _give(served: Served, call: Call, file: int, uid: int, gid: int) -> Reply:
    """Record the owner of a file. The kernel does what else it does at this: ctime, and no more setuid bits."""
    uid, gid = uid & KEEP, gid & KEEP
    try:
        status = os.fstat(file)
        if status.st_dev in served.systems:
            return None
        by = served.identities.of(call.pid)
        owner = served.table.of(status)
        if not by.root:
            mine = by.users.files == owner.uid
            if not (mine and uid in (KEEP, owner.uid) and (gid in (KEEP, owner.gid) or by.member(gid))):
                raise OSError(errno.EPERM, "chown")
        if not os.readlink(b"self/fd/%d" % file, dir_fd=served.proc).startswith(b"/"):
            return 0  # a pipe or socket: it has no name, and nobody will ask
        file, status = alone(served, call, file, status)
        keep = ctypes.c_uint(KEEP)
        if _call(_CHOWN, file, b"", keep, keep, EMPTY_PATH) < 0:
            raise OSError(ctypes.get_errno(), "chown")
        served.table.set(
            status,
            Owner(owner.uid if uid == KEEP else uid, owner.gid if gid == KEEP else gid, owner.device),
        )
    finally:
        os.close(file)
    return 0


# --- who may use them ------------------------------------------------------------------------------------------------


def access(served: Served, call: Call) -> Reply:
    path, wanted = call.args[:2]
    return _may(served, call, HERE, path, wanted, 0)


def faccessat(served: Served, call: Call) -> Reply:
    folder, path, wanted = call.args[:3]
    return _may(served, call, folder, path, wanted, 0)


def faccessat2(served: Served, call: Call) -> Reply:
    folder, path, wanted, flags = call.args[:4]
    return _may(served, call, folder, path, wanted, flags)


def _may(served: Served, call: Call, folder: int, path: int, wanted: int, flags: int) -> Reply:
    """access(2) asks for the real user, unless it is told not to."""
    by = served.identities.of(call.pid)
    if not flags & EFFECTIVE:
        by = Identity(by.users._replace(files=by.users.real), by.groups._replace(files=by.groups.real), by.others)
    if by.users.files != 0:
        check(served, call, named(served, call, folder, path, flags), by, wanted & 7, follow=not flags & NO_FOLLOW)
    return None


def check(served: Served, call: Call, place: Where, by: Identity, wanted: int, *, follow: bool = True) -> None:
    """Raises `OSError` (EACCES) unless somebody may do that with what is there, and get there."""
    file = open_path(served, call, place, follow=follow)
    try:
        status = os.fstat(file)
        if status.st_dev in served.systems:
            return
        if not place.itself:
            _reach_parent(served, by, file, status)
        if wanted and not may(by, status, served.table.of(status), wanted):
            raise OSError(errno.EACCES, "access")
    finally:
        os.close(file)


def _reach_parent(served: Served, by: Identity, file: int, status: os.stat_result) -> None:
    above = os.path.dirname(os.readlink(b"self/fd/%d" % file, dir_fd=served.proc)) or b"/"
    try:
        folder = os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return  # a pipe, or gone
    try:
        reach(served, by, folder)
    finally:
        os.close(folder)


ANSWERS = {
    "stat": stat_,
    "lstat": lstat,
    "fstat": fstat,
    "newfstatat": newfstatat,
    "statx": statx,
    "chown": chown,
    "lchown": lchown,
    "fchown": fchown,
    "fchownat": fchownat,
    "access": access,
    "faccessat": faccessat,
    "faccessat2": faccessat2,
}
