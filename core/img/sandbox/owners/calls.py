"""Numbers of system calls and places in structures, for each machine that a recorder can serve."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import NamedTuple


class Machine(NamedTuple):
    """What differs between machines."""

    audit: int
    """AUDIT_ARCH of its own programs (linux/audit.h)."""
    numbers: dict[str, int]
    stat_size: int
    mode_at: int
    owner_at: int
    """Offset of st_uid, which st_gid follows, in struct stat."""
    device_at: int
    """Offset of st_rdev."""


_GENERIC = {
    "fstat": 80, "newfstatat": 79, "statx": 291, "fchown": 55, "fchownat": 54, "openat": 56, "openat2": 437,
    "mkdirat": 34, "mknodat": 33, "symlinkat": 36, "faccessat": 48, "faccessat2": 439, "execve": 221, "execveat": 281,
    "getuid": 174, "getgid": 176, "geteuid": 175, "getegid": 177, "setuid": 146, "setgid": 144, "setreuid": 145,
    "setregid": 143, "getgroups": 158, "setgroups": 159, "setresuid": 147, "getresuid": 148, "setresgid": 149,
    "getresgid": 150, "setfsuid": 151, "setfsgid": 152, "chroot": 51, "prlimit64": 261, "setrlimit": 164,
    "getrlimit": 163, "bind": 200, "getsockopt": 209, "unlinkat": 35, "renameat": 38, "renameat2": 276, "linkat": 37,
    "prctl": 167, "utimensat": 88, "setxattr": 5, "lsetxattr": 6,
    "removexattr": 14, "lremovexattr": 15, "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "truncate": 45, "chdir": 49,
}  # fmt: skip

_X86_64 = {
    "stat": 4, "fstat": 5, "lstat": 6, "newfstatat": 262, "statx": 332, "chown": 92, "fchown": 93, "lchown": 94,
    "fchownat": 260, "open": 2, "creat": 85, "openat": 257, "openat2": 437, "mkdir": 83, "mkdirat": 258, "mknod": 133,
    "mknodat": 259, "symlink": 88, "symlinkat": 266, "access": 21, "faccessat": 269, "faccessat2": 439, "execve": 59,
    "execveat": 322, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "setuid": 105, "setgid": 106,
    "setreuid": 113, "setregid": 114, "getgroups": 115, "setgroups": 116, "setresuid": 117, "getresuid": 118,
    "setresgid": 119, "getresgid": 120, "setfsuid": 122, "setfsgid": 123, "chroot": 161, "prctl": 157,
    "utimensat": 280, "utime": 132, "utimes": 235, "futimesat": 261, "setxattr": 188, "lsetxattr": 189,
    "removexattr": 197, "lremovexattr": 198, "prlimit64": 302,
    "setrlimit": 160, "getrlimit": 97, "bind": 49, "getsockopt": 55, "unlink": 87, "unlinkat": 263, "rmdir": 84,
    "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265, "chmod": 90, "fchmod": 91,
    "fchmodat": 268, "fchmodat2": 452, "truncate": 76, "chdir": 80,
}  # fmt: skip

MACHINES = {
    "x86_64": Machine(0xC000003E, _X86_64, 144, 24, 28, 40),
    "aarch64": Machine(0xC00000B7, _GENERIC, 128, 16, 24, 32),
}


def here() -> Machine | None:
    """The machine that this process is made for; None if a recorder knows nothing of it."""
    return MACHINES.get(os.uname().machine) if sys.maxsize > 1 << 32 else None


SECCOMP = {"x86_64": 317, "aarch64": 277}
PIDFD_GETFD = 438
"""The same everywhere."""


def pidfd_getfd(process: int, descriptor: int) -> int:
    """A descriptor of our own of what another process has open: pidfd_getfd(2). Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(ctypes.c_long(PIDFD_GETFD), process, descriptor, 0)
    if found < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return found
