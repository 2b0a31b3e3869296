"""The filter that sends system calls to the recorder: a BPF program made at run time, and its installation.

It stands beside the step's own filter (`img.sandbox.seccomp`): the kernel runs both, and a refusal goes before a question.
"""

from __future__ import annotations

import ctypes
import os
import struct

from img.sandbox.owners import calls
from img.sandbox.owners.calls import Machine

_LOAD, _IS, _HAS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ASK, _ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ENOSYS = 38
_X32 = 0x40000000
"""Set in the numbers of a form of x86-64 that hardly any kernel still has."""

_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
_WAIT_KILLABLE = 1 << 5
"""Linux 5.19. Without it a signal makes the kernel begin a call anew that the recorder has done already."""

RTTIME = 15
"""RLIMIT_RTTIME, by which processes carry their identity."""
KEEPCAPS = 8
"""PR_SET_KEEPCAPS."""
SOL_SOCKET, SO_PEERCRED = 1, 17
CHANGING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_TMPFILE & ~os.O_DIRECTORY

ALWAYS = (
    "stat", "fstat", "lstat", "newfstatat", "statx", "chown", "fchown", "lchown", "fchownat", "creat", "openat2",
    "mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "access", "faccessat", "faccessat2", "execve",
    "execveat", "getuid", "getgid", "geteuid", "getegid", "setuid", "setgid", "setreuid", "setregid", "getgroups",
    "setgroups", "setresuid", "getresuid", "setresgid", "getresgid", "setfsuid", "setfsgid", "chroot", "bind",
    "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "truncate", "chdir", "utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "removexattr",
    "lremovexattr",
)  # fmt: skip

_WHEN = {
    # name: (argument, test, value); with several, all must hold
    "prctl": ((0, _IS, KEEPCAPS),),
    "prlimit64": ((1, _IS, RTTIME),),
    "setrlimit": ((0, _IS, RTTIME),),
    "getrlimit": ((0, _IS, RTTIME),),
    "getsockopt": ((1, _IS, SOL_SOCKET), (2, _IS, SO_PEERCRED)),
}
# Opening for reading may be refused to who is not root, but is far too frequent to be asked about for root's sake: a step
# that begins as somebody else has it asked always.
_OPENING = {"open": ((1, _HAS, CHANGING),), "openat": ((2, _HAS, CHANGING),)}


def program(machine: Machine, *, user: bool) -> bytes:
    """The instructions for a step that begins as root, or as another `user`."""
    lines: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IS, 1, 0, machine.audit),
        (_RETURN, 0, 0, _ASK),  # the recorder says why, and ends it
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),
    ]
    always = (*ALWAYS, *_OPENING) if user else ALWAYS
    for name in always:
        if name in machine.numbers:
            lines += [(_IS, 0, 1, machine.numbers[name]), (_RETURN, 0, 0, _ASK)]
    for name, tests in (_WHEN if user else _WHEN | _OPENING).items():
        if name in machine.numbers:
            left = 2 * len(tests)
            lines.append((_IS, 0, left + 2, machine.numbers[name]))
            for argument, test, value in tests:
                left -= 2
                lines += [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (test, 0, left + 1, value)]
            lines += [(_RETURN, 0, 0, _ASK), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


_libc = ctypes.CDLL(None, use_errno=True)


def install(*, user: bool) -> int:
    """Put this process, and all that it will start, under the filter; returns the listener. Raises `OSError`."""
    machine = calls.here()
    if machine is None:
        raise OSError(_ENOSYS, f"there is no recorder for {os.uname().machine}", "seccomp")
    data = program(machine, user=user)
    buffer = ctypes.create_string_buffer(data, len(data))
    filled = _Program(len(data) // 8, ctypes.cast(buffer, ctypes.c_char_p))
    number = calls.SECCOMP[os.uname().machine]
    found: int = _libc.syscall(
        ctypes.c_long(number),
        ctypes.c_uint(_SET_MODE_FILTER),
        ctypes.c_uint(_NEW_LISTENER | _WAIT_KILLABLE),
        ctypes.byref(filled),
    )
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "seccomp")
    return found
