"""A copy of the interpreter in memory that nobody can write to, for the helper to run from.

A step's process is the helper's until it becomes the step's program, and that may be ``/proc/self/exe``: then what runs in
the step is the interpreter, with whatever libraries the image gives it, and holds the file that it was started from. That must
not be a file of this machine (runc's CVE-2019-5736; that a running program can't be written to does not hold for each kernel).
"""

from __future__ import annotations

import fcntl
import os
import sys

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_copy(program: str) -> int | None:
    """The copy as a descriptor; None where the kernel is set to run nothing from memory (``vm.memfd_noexec``)."""
    copy = -1
    try:
        copy = os.memfd_create("img", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(program, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            done = 0
            while done < size and (count := os.sendfile(copy, file.fileno(), done, size - done)):
                done += count
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        if os.access(f"/proc/self/fd/{copy}", os.X_OK):
            return copy
    except OSError:
        pass
    if copy >= 0:
        os.close(copy)
    return None


def libraries() -> dict[str, str]:
    """The environment in which a copy finds the interpreter's own library, if it has one: it looks beside itself."""
    folder = f"{sys.base_exec_prefix}/lib"
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    return {"LD_LIBRARY_PATH": folder} if os.path.exists(f"{folder}/{name}") else {}
