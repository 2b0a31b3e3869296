"""Answers about processes: who one is, becoming another, and what only root may do."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct

from img.sandbox.owners.identity import (
    CARRIER,
    Identity,
    Ids,
    execute,
    set_files,
    set_one,
    set_three,
    set_two,
)
from img.sandbox.owners.listener import Call, read, write
from img.sandbox.owners.making import taken
from img.sandbox.owners.table import may
from img.sandbox.owners.where import (
    HERE,
    NO_FOLLOW,
    Reply,
    Served,
    Where,
    named,
    open_path,
    own_number,
    reach,
    signed,
)

_WORD = struct.Struct("=I")
_GROUPS = 65536
KEEPCAPS = 8
"""PR_SET_KEEPCAPS."""
_UNLIMITED = struct.pack("=QQ", 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def getuid(served: Served, call: Call) -> Reply:
    return served.identities.of(call.pid).users.real


def geteuid(served: Served, call: Call) -> Reply:
    return served.identities.of(call.pid).users.effective


def getgid(served: Served, call: Call) -> Reply:
    return served.identities.of(call.pid).groups.real


def getegid(served: Served, call: Call) -> Reply:
    return served.identities.of(call.pid).groups.effective


def getresuid(served: Served, call: Call) -> Reply:
    return _tell(served, call, served.identities.of(call.pid).users)


def getresgid(served: Served, call: Call) -> Reply:
    return _tell(served, call, served.identities.of(call.pid).groups)


def _tell(served: Served, call: Call, ids: Ids) -> Reply:
    for address, id in zip(call.args, ids[:3], strict=False):
        write(served.proc, call, address, _WORD.pack(id))
    return 0


def getgroups(served: Served, call: Call) -> Reply:
    size, address = signed(call.args[0]), call.args[1]
    groups = served.identities.of(call.pid).others
    if size < 0 or 0 < size < len(groups):
        raise OSError(errno.EINVAL, "getgroups")
    if size and groups:
        write(served.proc, call, address, struct.pack(f"={len(groups)}I", *groups))
    return len(groups)


def setgroups(served: Served, call: Call) -> Reply:
    size, address = call.args[0] & 0xFFFFFFFF, call.args[1]
    by = served.identities.of(call.pid)
    if not by.sets:
        raise OSError(errno.EPERM, "setgroups")
    if size > _GROUPS:
        raise OSError(errno.EINVAL, "setgroups")
    data = b"".join(read(call, address + at, min(4096, 4 * size - at)) for at in range(0, 4 * size, 4096))
    return _become(served, call, by._replace(others=tuple(sorted(struct.unpack(f"={size}I", data)))))


def _become(served: Served, call: Call, identity: Identity) -> Reply:
    call.check()
    served.identities.become(call.pid, identity)
    return 0


def setuid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    return _become(served, call, by._replace(users=set_one(by.users, call.args[0] & 0xFFFFFFFF, by.sets)))


def setgid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    return _become(served, call, by._replace(groups=set_one(by.groups, call.args[0] & 0xFFFFFFFF, by.sets)))


def setreuid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    real, effective = (word & 0xFFFFFFFF for word in call.args[:2])
    return _become(served, call, by._replace(users=set_two(by.users, real, effective, by.sets)))


def setregid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    real, effective = (word & 0xFFFFFFFF for word in call.args[:2])
    return _become(served, call, by._replace(groups=set_two(by.groups, real, effective, by.sets)))


def setresuid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    return _become(served, call, by._replace(users=set_three(by.users, _three(call), by.sets)))


def setresgid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    return _become(served, call, by._replace(groups=set_three(by.groups, _three(call), by.sets)))


def _three(call: Call) -> tuple[int, int, int]:
    first, second, third = (word & 0xFFFFFFFF for word in call.args[:3])
    return first, second, third


def setfsuid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    _become(served, call, by._replace(users=set_files(by.users, call.args[0] & 0xFFFFFFFF, by.sets)))
    return by.users.files


def setfsgid(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    _become(served, call, by._replace(groups=set_files(by.groups, call.args[0] & 0xFFFFFFFF, by.sets)))
    return by.groups.files


# --- exec ----------------------------------------------------------------------------------------------------------


def execve(served: Served, call: Call) -> Reply:
    return _execute(served, call, named(served, call, HERE, call.args[0]), 0)


def execveat(served: Served, call: Call) -> Reply:
    folder, path, _, _, flags = call.args[:5]
    return _execute(served, call, named(served, call, folder, path, flags), flags)


def _execute(served: Served, call: Call, place: Where, flags: int) -> Reply:
    """Who the process will be is settled here; the kernel, for which all is one, does the rest."""
    by = served.identities.of(call.pid)
    try:
        file = open_path(served, call, place, follow=not flags & NO_FOLLOW)
    except OSError:
        return None  # the kernel knows why
    try:
        status = os.fstat(file)
        owner = served.table.of(status)
        if by.users.files != 0 and not (stat.S_ISREG(status.st_mode) and may(by, status, owner, 1)):
            raise OSError(errno.EACCES, "execve")
        mode = status.st_mode
        special = mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode) and not _is_script(served, file)
        as_group = special and mode & stat.S_ISGID and mode & stat.S_IXGRP
        new = execute(by, owner.uid if special and mode & stat.S_ISUID else None, owner.gid if as_group else None)
        if new != by:
            _become(served, call, new)
    finally:
        os.close(file)
    return None


def _is_script(served: Served, file: int) -> bool:
    """Special bits of scripts mean nothing: it is their interpreter that runs."""
    try:
        inside = os.open(b"self/fd/%d" % file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=served.proc)
    except OSError:
        return True
    try:
        return os.read(inside, 2) == b"#!"
    finally:
        os.close(inside)


# --- what only root may, and what is not to be seen --------------------------------------------------------------------


def chroot(served: Served, call: Call) -> Reply:
    """chroot(2). From now on the root of who asks has to be looked at."""
    if not served.identities.of(call.pid).root:
        raise OSError(errno.EPERM, "chroot")
    served.chrooted = True
    return None


def prctl(served: Served, call: Call) -> Reply:
    """PR_SET_KEEPCAPS. It goes with the next exec, and capabilities are not followed further than that."""
    by = served.identities.of(call.pid)
    if call.args[0] & 0xFFFFFFFF == KEEPCAPS and call.args[1] and by.root:
        _become(served, call, by._replace(keeps=True))
    return None


def prlimit64(served: Served, call: Call) -> Reply:
    return _carrier(served, call, call.args[1], call.args[3])


def getrlimit(served: Served, call: Call) -> Reply:
    return _carrier(served, call, call.args[0], call.args[1])


def setrlimit(served: Served, call: Call) -> Reply:
    return _carrier(served, call, call.args[0], 0)


def _carrier(served: Served, call: Call, limit: int, address: int) -> Reply:
    """The limit by which processes carry their identity is unlimited to them, whatever they set it to."""
    if limit & 0xFFFFFFFF != CARRIER:
        return None
    if address:
        write(served.proc, call, address, _UNLIMITED)
    return 0


def getsockopt(served: Served, call: Call) -> Reply:
    """SO_PEERCRED: who is at the other end, as what it is now."""
    descriptor, level, option, address, length = call.args[:5]
    if (level & 0xFFFFFFFF, option & 0xFFFFFFFF) != (socket.SOL_SOCKET, socket.SO_PEERCRED):
        return None
    (size,) = _WORD.unpack(read(call, length, 4))
    with taken(served, call, signed(descriptor)) as mine:
        pid, uid, gid = struct.unpack("=iII", mine.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if pid > 0:
        try:
            by = served.identities.of(pid)
            pid, uid, gid = int(own_number(served, pid)), by.users.effective, by.groups.effective
        except OSError:
            pid = 0  # it has ended
    data = struct.pack("=iII", pid, uid, gid)[:size]
    write(served.proc, call, address, data)
    write(served.proc, call, length, _WORD.pack(len(data)))
    return 0


def chdir(served: Served, call: Call) -> Reply:
    by = served.identities.of(call.pid)
    if by.users.files != 0:
        folder = open_path(served, call, named(served, call, HERE, call.args[0]))
        try:
            if stat.S_ISDIR(os.fstat(folder).st_mode):
                reach(served, by, folder)
        finally:
            os.close(folder)
    return None


ANSWERS = {
    "getuid": getuid,
    "geteuid": geteuid,
    "getgid": getgid,
    "getegid": getegid,
    "getresuid": getresuid,
    "getresgid": getresgid,
    "getgroups": getgroups,
    "setgroups": setgroups,
    "setuid": setuid,
    "setgid": setgid,
    "setreuid": setreuid,
    "setregid": setregid,
    "setresuid": setresuid,
    "setresgid": setresgid,
    "setfsuid": setfsuid,
    "setfsgid": setfsgid,
    "execve": execve,
    "execveat": execveat,
    "chroot": chroot,
    "prctl": prctl,
    "prlimit64": prlimit64,
    "getrlimit": getrlimit,
    "setrlimit": setrlimit,
    "getsockopt": getsockopt,
    "chdir": chdir,
}
