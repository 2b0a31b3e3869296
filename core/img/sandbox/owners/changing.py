"""Calls that change folders and files: what somebody who is not root may not is refused.

The kernel does them: no owner changes by any. For root the recorder has nothing to say.
"""

from __future__ import annotations

import errno
import os
import stat

from img.sandbox.owners.asking import check
from img.sandbox.owners.identity import Identity
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


def _user(served: Served, call: Call) -> Identity | None:
    """Who asks, if it is not root."""
    by = served.identities.of(call.pid)
    return by if by.users.files != 0 else None


def _entry(served: Served, call: Call, by: Identity, place: Where, *, takes: bool) -> None:
    """Raises `OSError` unless somebody may put a name there, or, if it `takes` one away, take it."""
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
    if (by := _user(served, call)) is not None:
        _entry(served, call, by, named(served, call, HERE, call.args[0]), takes=True)
    return None


def unlinkat(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        _entry(served, call, by, named(served, call, *call.args[:2]), takes=True)
    return None


def rename(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        for path in call.args[:2]:
            _entry(served, call, by, named(served, call, HERE, path), takes=True)
    return None


def renameat(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        for at in (0, 2):
            _entry(served, call, by, named(served, call, *call.args[at : at + 2]), takes=True)
    return None


def link(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        _entry(served, call, by, named(served, call, HERE, call.args[1]), takes=False)
    return None


def linkat(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        _entry(served, call, by, named(served, call, *call.args[2:4]), takes=False)
    return None


def truncate(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        check(served, call, named(served, call, HERE, call.args[0]), by, 2)
    return None


def chmod(served: Served, call: Call) -> Reply:
    return _mode(served, call, HERE, call.args[0], 0)


def fchmodat(served: Served, call: Call) -> Reply:
    return _mode(served, call, call.args[0], call.args[1], 0)


def fchmodat2(served: Served, call: Call) -> Reply:
    return _mode(served, call, call.args[0], call.args[1], call.args[3])


def _mode(served: Served, call: Call, folder: int, path: int, flags: int) -> Reply:
    if (by := _user(served, call)) is not None:
        place = named(served, call, folder, path, flags)
        check(served, call, place, by, 0, follow=not flags & NO_FOLLOW)
        _owns(served, call, by, place, not flags & NO_FOLLOW)
    return None


def fchmod(served: Served, call: Call) -> Reply:
    if (by := _user(served, call)) is not None:
        _owns(served, call, by, described(served, call, call.args[0]), True)
    return None


def _owns(served: Served, call: Call, by: Identity, place: Where, follow: bool) -> None:
    file = open_path(served, call, place, follow=follow)
    try:
        status = os.fstat(file)
    finally:
        os.close(file)
    if status.st_dev not in served.systems and served.table.of(status).uid != by.users.files:
        raise OSError(errno.EPERM, "chmod")


ANSWERS = {
    "unlink": unlink,
    "rmdir": unlink,
    "unlinkat": unlinkat,
    "rename": rename,
    "renameat": renameat,
    "renameat2": renameat,
    "link": link,
    "linkat": linkat,
    "truncate": truncate,
    "chmod": chmod,
    "fchmod": fchmod,
    "fchmodat": fchmodat,
    "fchmodat2": fchmodat2,
}
