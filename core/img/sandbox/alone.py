"""Being alone: a user namespace whose only id is this user, and whether RUN can work in it."""

from __future__ import annotations

import os
import socket

from img.sandbox import libc
from img.sandbox.ids import one_id
from img.sandbox.owners import calls, recorder


def enter() -> None:
    """Enter a user namespace where this user is root and nobody else is anybody, and a mount namespace. Where there is
    but one id already, only that. Raises `OSError`."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and one_id():
        libc.unshare(libc.CLONE_NEWNS)
    else:
        libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)


def try_recorder() -> None:
    """Have a process recorded whose owner this is to itself. Raises `OSError` that says what is missing. To be called in a
    process that ends with it."""
    if calls.here() is None:
        raise OSError(38, f"there is no recorder for {os.uname().machine}")
    out = os.memfd_create("owners", os.MFD_CLOEXEC)
    order = {"owners": [], "given": [["/", 41, 42]], "uid": 43, "gid": 44, "groups": []}
    recording, theirs = recorder.fork(order, 2, out)
    child = os.fork()
    if child == 0:
        _ask(theirs)
    theirs.close()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.waitpid(recording, 0)
    if status:
        told = os.pread(out, 65536, 0).decode("ascii", "replace")
        reason = os.strerror(status) if 0 < status < 100 else recorder.failure(told)
        raise OSError(status, f"seccomp's user notification does not work here, it takes Linux 5.19 ({reason})")


def _ask(theirs: socket.socket) -> None:
    code = 100
    try:
        recorder.attach(theirs.detach(), user=True)
        there = os.stat("/")
        code = 0 if (there.st_uid, there.st_gid, os.getuid(), os.getegid()) == (41, 42, 43, 44) else 101
    except OSError as error:
        code = error.errno or 100
    finally:
        os._exit(code)
