"""Locks by name, between threads and processes, that vanish with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from img.errors import Cancelled


class Lock:
    """One held lock, or a share of one. `release` may be called twice."""

    def __init__(self, path: Path, descriptor: int, alone: bool = True) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self._alone = alone

    def upgrade(self) -> bool:
        """Turn a share into the whole lock, if no one else has a share. Only for one at a time: a failed attempt lets go
        of the share for a moment (flock(2))."""
        assert self._descriptor is not None
        if _take(self._descriptor):
            return True
        os.close(self._descriptor)
        self._descriptor = None
        again = shared(self._path)
        self._descriptor, again._descriptor = again._descriptor, None
        return False

    def downgrade(self) -> None:
        """Back to a share."""
        assert self._descriptor is not None
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        if self._descriptor is not None:
            if self._alone or _take(self._descriptor):
                self._path.unlink(missing_ok=True)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a child that the program has forked may have a copy
            os.close(self._descriptor)
            self._descriptor = None


def _take(descriptor: int) -> bool:
    """Whether a share can be made the whole lock: then it was the last one, and the file goes with it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_lock(path: Path) -> Lock | None:
    """Take the lock file `path`, or return None if another holder has it.

    The file is removed on release, so after taking it we look whether it is still the one at `path`.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return Lock(path, descriptor)
        except FileNotFoundError:
            pass
        os.close(descriptor)


def shared(path: Path) -> Lock:
    """Take a share of the lock file `path`: any number of holders, but none while somebody has it alone (`try_lock`).

    Waits for such a one, so those may only hold it for a moment.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return Lock(path, descriptor, alone=False)
        except FileNotFoundError:
            pass
        os.close(descriptor)


@contextmanager
def locked(path: Path, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Hold the lock file `path`, waiting for it if need be. Raises `Cancelled` if `cancelled` says so first."""
    while (lock := try_lock(path)) is None:
        if cancelled():
            raise Cancelled
        time.sleep(0.02)
    try:
        yield
    finally:
        lock.release()
