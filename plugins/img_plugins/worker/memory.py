"""The secrets of one step, in an anonymous memory file: the only way in which they travel to the sandbox."""

from __future__ import annotations

import os


class Memory:
    """Bytes one after the other in a memory file (memfd_create(2)), made when the first come."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self._end = 0

    def add(self, data: bytes) -> int:
        """Put `data` at the end; returns its offset."""
        if self.descriptor is None:
            self.descriptor = os.memfd_create("secrets", os.MFD_CLOEXEC)
        at, view = self._end, memoryview(data)
        while view:
            count = os.pwrite(self.descriptor, view, self._end)
            self._end += count
            view = view[count:]
        return at

    def close(self) -> None:
        """Give the memory back; the sandbox has its own hold on it for as long as it needs."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
