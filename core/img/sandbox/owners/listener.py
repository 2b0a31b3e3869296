"""One end of seccomp's user notification (seccomp_unotify(2)): questions, answers, and the memory of who asks."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from fcntl import ioctl
from typing import NamedTuple

_RECEIVE, _SEND, _ADD = 0xC0502100, 0xC0182101, 0x40182103
_SET_FLAGS = 0x40082104
_QUESTION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_DESCRIPTOR = struct.Struct("=QIIII")
_PROCEED, _AND_SEND = 1, 2
_PAGE = 4096

Arguments = tuple[int, int, int, int, int, int]


class Call(NamedTuple):
    """A system call that waits for its answer."""

    id: int
    pid: int
    """The thread, as this process's namespace numbers it."""
    number: int
    architecture: int
    args: Arguments


class Listener:
    """The listener of a filter. `descriptor` is readable when a call waits, and hangs up when nobody is left who could."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        with suppress(OSError):  # Linux 6.6: who asks and who answers take turns on one processor
            ioctl(descriptor, _SET_FLAGS, 1)

    def receive(self) -> Call | None:
        """The next call; None if its process was killed meanwhile."""
        buffer = bytearray(_QUESTION.size)
        try:
            ioctl(self.descriptor, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        id, pid, _, number, architecture, _, *args = _QUESTION.unpack(buffer)
        return Call(id, pid, number, architecture, tuple(args))

    def answer(self, call: Call, value: int = 0, error: int = 0) -> None:
        """The call returns `value`, or fails with `error`."""
        self._send(_ANSWER.pack(call.id, value, -error, 0))

    def proceed(self, call: Call) -> None:
        """The kernel does the call itself."""
        self._send(_ANSWER.pack(call.id, 0, 0, _PROCEED))

    def hand_over(self, call: Call, descriptor: int, flags: int) -> None:
        """The call returns a descriptor of its own of the open file `descriptor`. Raises `OSError` if it can't have one."""
        try:
            ioctl(self.descriptor, _ADD, _DESCRIPTOR.pack(call.id, _AND_SEND, descriptor, 0, flags))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINPROGRESS):
                raise

    def _send(self, data: bytes) -> None:
        try:
            ioctl(self.descriptor, _SEND, data)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINPROGRESS):  # it was killed
                raise


# --- memory --------------------------------------------------------------------------------------------------------


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


_libc = ctypes.CDLL(None, use_errno=True)
for _function in (_libc.process_vm_readv, _libc.process_vm_writev):
    _function.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_ulong,
    ]
    _function.restype = ctypes.c_ssize_t
_buffer = ctypes.create_string_buffer(2 * _PAGE)
_mine, _theirs = _Vector(ctypes.addressof(_buffer), 0), _Vector(0, 0)
_at_mine, _at_theirs, _at_buffer = ctypes.addressof(_mine), ctypes.addressof(_theirs), ctypes.addressof(_buffer)


def read(pid: int, address: int, size: int) -> bytes:
    """At most 8192 bytes of a process's memory. Raises `OSError` (EFAULT)."""
    _mine.size = _theirs.size = size
    _theirs.base = address
    if _libc.process_vm_readv(pid, _at_mine, 1, _at_theirs, 1, 0) != size:
        raise _failed()
    return ctypes.string_at(_at_buffer, size)


def write(pid: int, address: int, data: bytes) -> None:
    """Raises `OSError` (EFAULT)."""
    size = len(data)
    ctypes.memmove(_at_buffer, data, size)
    _mine.size = _theirs.size = size
    _theirs.base = address
    if _libc.process_vm_writev(pid, _at_mine, 1, _at_theirs, 1, 0) != size:
        raise _failed()


def _failed() -> OSError:
    number = ctypes.get_errno()
    if number in (errno.EPERM, errno.ENOSYS):  # the recorder itself is at fault, not the address
        raise RuntimeError(f"memory of a process can't be had: {os.strerror(number)}")
    return OSError(errno.ESRCH if number == errno.ESRCH else errno.EFAULT, "memory")


def read_path(pid: int, address: int) -> bytes:
    """The string at `address`, which ends with a zero byte. Raises `OSError` (EFAULT, ENAMETOOLONG)."""
    data = read(pid, address, _PAGE - address % _PAGE)
    end = data.find(b"\0")
    if end < 0:
        data += read(pid, address + len(data), _PAGE)
        end = data.find(b"\0")
    if end < 0 or end >= _PAGE:
        raise OSError(errno.ENAMETOOLONG, "path")
    return data[:end]
