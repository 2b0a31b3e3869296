"""One end of seccomp's user notification (seccomp_unotify(2)): questions, answers, and the memory of who asks.

Whoever asks may be killed at any moment, and its number given to another process, of this step or of another. So what is
known of a process by its number counts only if the call still waits after it was learned (`Call.check`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from fcntl import ioctl
from typing import NamedTuple

_RECEIVE, _SEND, _ADD = 0xC0502100, 0xC0182101, 0x40182103
_SET_FLAGS, _IS_VALID = 0x40082104, 0x40082102
_QUESTION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_DESCRIPTOR = struct.Struct("=QIIII")
_ID = struct.Struct("=Q")
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
    listener: int
    """The descriptor that it came by."""

    def check(self) -> None:
        """Raises `OSError` (ESRCH) unless the call still waits: what was had by `pid` until now was had of who asks."""
        try:
            ioctl(self.listener, _IS_VALID, _ID.pack(self.id))
        except OSError:
            raise OSError(errno.ESRCH, "process") from None


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
        return Call(id, pid, number, architecture, tuple(args), self.descriptor)

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
_read = _libc.process_vm_readv
_read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
_read.restype = ctypes.c_ssize_t
_buffer = ctypes.create_string_buffer(_PAGE)
_mine, _theirs = _Vector(ctypes.addressof(_buffer), 0), _Vector(0, 0)
_at_mine, _at_theirs, _at_buffer = ctypes.addressof(_mine), ctypes.addressof(_theirs), ctypes.addressof(_buffer)


def read(call: Call, address: int, size: int) -> bytes:
    """At most 4096 bytes of the memory of who asks; `Call.check` comes before anything is done with them. Raises `OSError`
    (EFAULT, ESRCH)."""
    if size > _PAGE:
        raise OSError(errno.EFAULT, "memory")
    _mine.size = _theirs.size = size
    _theirs.base = address
    if _read(call.pid, _at_mine, 1, _at_theirs, 1, 0) != size:
        raise _failed(ctypes.get_errno())
    return ctypes.string_at(_at_buffer, size)


def write(proc: int, call: Call, address: int, data: bytes) -> None:
    """Write to the memory of who asks; `proc` is a /proc with its number. Not by process_vm_writev(2): between a check and
    that the number could be another's, where a descriptor is always the same one's. Raises `OSError` (EFAULT, ESRCH)."""
    try:
        memory = os.open(b"%d/mem" % call.pid, os.O_RDWR | os.O_CLOEXEC, dir_fd=proc)
    except OSError as error:
        raise _failed(error.errno or errno.ESRCH) from None
    try:
        call.check()
        written = os.pwrite(memory, data, address)
    except (OSError, OverflowError) as error:
        number = error.errno if isinstance(error, OSError) else 0
        raise OSError(errno.ESRCH if number == errno.ESRCH else errno.EFAULT, "memory") from None
    finally:
        os.close(memory)
    if written != len(data):
        raise OSError(errno.EFAULT, "memory")


def _failed(number: int) -> OSError:
    if number in (errno.EPERM, errno.EACCES, errno.ENOSYS):  # the recorder itself is at fault, not the address
        raise RuntimeError(f"memory of a process can't be had: {os.strerror(number)}")
    return OSError(errno.ESRCH if number in (errno.ESRCH, errno.ENOENT) else errno.EFAULT, "memory")


def read_path(call: Call, address: int) -> bytes:
    """The string at `address`, which ends with a zero byte. Raises `OSError` (EFAULT, ENAMETOOLONG, ESRCH)."""
    data = read(call, address, _PAGE - address % _PAGE)
    end = data.find(b"\0")
    if end < 0:
        data += read(call, address + len(data), _PAGE)
        end = data.find(b"\0")
    if end < 0 or end >= _PAGE:
        raise OSError(errno.ENAMETOOLONG, "path")
    return data[:end]
