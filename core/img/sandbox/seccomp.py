"""The seccomp filter of a step: a program made beforehand (contrib/seccomp), installed right before exec.

Installing one takes CAP_SYS_ADMIN, which a step's process still has until exec, or no_new_privs, which would break every
setuid program of the image. So it comes after the bounding set and before the change of user. The kernel hands it down
to all that the process starts.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

from img.sandbox import libc

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2

_INSTRUCTION = 8


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


@cache
def program() -> bytes:
    """The program for this machine; empty if there is none. Read once, by the helper, while it still sees the files."""
    path = os.path.join(os.path.dirname(__file__), "filters", f"{_machine()}.bpf")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _machine() -> str:
    """What this process is made for: under setarch(8) uname tells of another machine."""
    machine = os.uname().machine
    if sys.maxsize > 1 << 32:
        return {"i686": "x86_64", "armv8l": "aarch64"}.get(machine, machine)
    return {"x86_64": "i686", "aarch64": "armv7l", "armv8l": "armv7l"}.get(machine, machine)


def install() -> None:
    """Put this process under the filter. Raises `OSError`; on a machine there is no filter for, that is ENOSYS."""
    data = program()
    if not data:
        raise OSError(38, f"there is no seccomp filter for {_machine()}", "seccomp")
    buffer = ctypes.create_string_buffer(data, len(data))
    filled = _Program(len(data) // _INSTRUCTION, ctypes.cast(buffer, ctypes.c_char_p))
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filled))
