"""Calls that change folders and files: what somebody who is not root may not is refused, and hard links of layers below are
parted. The kernel does the rest: no owner changes by any.
"""

from __future__ import annotations

import errno
import os
import stat

from img.sandbox.owners.asking import check
from img.sandbox.owners.identity import Identity
from img.sandbox.owners.links import alone, ready
from img.sandbox.owners.listener import Call
from img.sandbox.owners.table import may
from img.sandbox.owners.where import (
    HERE,
    NO_FOLLOW,
    Reply,
    Served,
    Where,
    described,
    named,
    open_path,
    reach,
)

_FOLLOW = 0x400
"""AT_SYMLINK_FOLLOW."""
_WHITEOUT = 4
"""RENAME_WHITEOUT."""


def _user(served: Served, call: Call) -> Identity | None:
    """Who asks, if it is not root."""
    by = served.identities.of(call.pid)
    return by if by.users.files != 0 else None


def _entry(served: Served, call: Call, place: Where, *, takes: bool) -> None:
    """Raises `OSError` unless who asks may put a name there, or, if it `takes` one away, take it."""
    by = _user(served, call)
    if by is None:
        return
    head, slash, name = place.path.rstrip(b"/").rpartition(b"/")
    folder = open_path(served, call, Where(place.folder, head + slash if slash else b"."))
    try:
        reach(served, by, folder)
        above = os.fstat(folder)
        owner = served.table.of(above)
        if not may(by, above, owner, 3):
            raise OSError(errno.EACCES, "folder")
        if takes and above.st_mode & stat.S_ISVTX and by.users.files != owner.uid:
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                return
            if served.table.of(status).uid != by.users.files:
                raise OSError(errno.EPERM, "sticky folder")
    finally:
        os.close(folder)


def unlink(served: Served, call: Call) -> Reply:
    if _user(served, call) is not None:
        _entry(served, call, named(served, call, HERE, call.args[0]), takes=True)
    return None


def unlinkat(served: Served, call: Call) -> Reply:
    if _user(served, call) is not None:
        _entry(served, call, named(served, call, *call.args[:2]), takes=True)
    return None


def rename(served: Served, call: Call) -> Reply:
    return _rename(served, call, *(named(served, call, HERE, path) for path in call.args[:2]))


def renameat(served: Served, call: Call) -> Reply:
    return _rename(served, call, *(named(served, call, *call.args[at : at + 2]) for at in (0, 2)))


def renameat2(served: Served, call: Call) -> Reply:
    """renameat2(2). What leaves a whiteout behind would make a file, and overlayfs has none of it."""
    if call.args[4] & _WHITEOUT:
        raise OSError(errno.EINVAL, "whiteout")
    return renameat(served, call)


def _rename(served: Served, call: Call, *places: Where) -> Reply:
    for place in places:
        _entry(served, call, place, takes=True)
    ready(served, call, places[0], follow=False)
    return None


def link(served: Served, call: Call) -> Reply:
    source, dest = (named(served, call, HERE, path) for path in call.args[:2])
    _entry(served, call, dest, takes=False)
    ready(served, call, source, follow=False, linked=True)
    return None


def linkat(served: Served, call: Call) -> Reply:
    source = named(served, call, *call.args[:2], call.args[4])
    _entry(served, call, named(served, call, *call.args[2:4]), takes=False)
    ready(served, call, source, follow=bool(call.args[4] & _FOLLOW), linked=True)
    return None


def truncate(served: Served, call: Call) -> Reply:
    place = named(served, call, HERE, call.args[0])
    if (by := _user(served, call)) is not None:
        check(served, call, place, by, 2)
    ready(served, call, place)
    return None


# --- modes -----------------------------------------------------------------------------------------------------------


def chmod(served: Served, call: Call) -> Reply:
    return _mode(served, call, HERE, call.args[0], 0)


def fchmodat(served: Served, call: Call) -> Reply:
    return _mode(served, call, call.args[0], call.args[1], 0)


def fchmodat2(served: Served, call: Call) -> Reply:
    return _mode(served, call, call.args[0], call.args[1], call.args[3])


def _mode(served: Served, call: Call, folder: int, path: int, flags: int) -> Reply:
    place, follow = named(served, call, folder, path, flags), not flags & NO_FOLLOW
    if (by := _user(served, call)) is not None:
        check(served, call, place, by, 0, follow=follow)
        _owns(served, call, by, place, follow)
    ready(served, call, place, follow=follow)
    return None


def fchmod(served: Served, call: Call) -> Reply:
    """fchmod(2). If the file is parted from its other names, it is the new one that has the new mode."""
    place = described(served, call, call.args[0])
    if (by := _user(served, call)) is not None:
        _owns(served, call, by, place, True)
    file = open_path(served, call, place)
    try:
        before = os.fstat(file)
        file, status = alone(served, call, file, before)
        if status.st_ino == before.st_ino:
            return None
        os.chmod(b"self/fd/%d" % file, call.args[1] & 0o7777, dir_fd=served.proc)
    finally:
        os.close(file)
    return 0


def _owns(served: Served, call: Call, by: Identity, place: Where, follow: bool) -> None:
    file = open_path(served, call, place, follow=follow)
    try:
        status = os.fstat(file)
    finally:
        os.close(file)
    if status.st_dev not in served.systems and served.table.of(status).uid != by.users.files:
        raise OSError(errno.EPERM, "chmod")


# --- times and attributes ----------------------------------------------------------------------------------------------


def utime(served: Served, call: Call) -> Reply:
    """utime(2), utimes(2), setxattr(2), removexattr(2)."""
    ready(served, call, named(served, call, HERE, call.args[0]))
    return None


def lsetxattr(served: Served, call: Call) -> Reply:
    """lsetxattr(2), lremovexattr(2)."""
    ready(served, call, named(served, call, HERE, call.args[0]), follow=False)
    return None


def utimensat(served: Served, call: Call) -> Reply:
    """utimensat(2), futimesat(2) without flags. Of a descriptor: nothing, the file it is open on is the one that is meant."""
    folder, path, _, flags = call.args[:4]
    if path:
        ready(served, call, named(served, call, folder, path, flags), follow=not flags & NO_FOLLOW)
    return None


def futimesat(served: Served, call: Call) -> Reply:
    if call.args[1]:
        ready(served, call, named(served, call, *call.args[:2]))
    return None


ANSWERS = {
    "unlink": unlink,
    "rmdir": unlink,
    "unlinkat": unlinkat,
    "rename": rename,
    "renameat": renameat,
    "renameat2": renameat2,
    "link": link,
    "linkat": linkat,
    "truncate": truncate,
    "chmod": chmod,
    "fchmod": fchmod,
    "fchmodat": fchmodat,
    "fchmodat2": fchmodat2,
    "utime": utime,
    "utimes": utime,
    "utimensat": utimensat,
    "futimesat": futimesat,
    "setxattr": utime,
    "removexattr": utime,
    "lsetxattr": lsetxattr,
    "lremovexattr": lsetxattr,
}
