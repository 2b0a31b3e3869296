"""The sha256 of a stream, computed beside whatever produces and takes it.

One layer's bytes go through one thread that unpacks and writes them, and a third of its time would be hashing. Past the
first few MiB that is done on a thread of its own: hashlib lets go of the interpreter meanwhile.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from img.digest import PREFIX

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

SMALL = 4 << 20
"""Bytes that are hashed where they come: less is not worth a thread."""
WAITING = 4
"""Pieces that may wait to be hashed; they stay in memory for so long."""


class Record:
    """Give it the pieces in order, each of a type that nobody writes to; use it from one thread."""

    def __init__(self) -> None:
        self.size = 0
        self._sha = hashlib.sha256()
        self._beside: ThreadPoolExecutor | None = None
        self._alone = False
        self._pending: deque[Future[None]] = deque()

    def update(self, data: bytes) -> None:
        """Add a piece."""
        self.size += len(data)
        if self._alone or (self._beside is None and self.size <= SMALL):
            self._sha.update(data)
            return
        while len(self._pending) >= WAITING:
            self._pending.popleft().result()
        try:
            if self._beside is None:
                from concurrent.futures import ThreadPoolExecutor

                self._beside = ThreadPoolExecutor(1, "sha256")
            self._pending.append(self._beside.submit(self._sha.update, data))
        except RuntimeError:  # no further thread can be had
            self._alone = True
            self._settle()
            self._sha.update(data)

    def _settle(self) -> None:
        while self._pending:
            self._pending.popleft().result()

    @property
    def digest(self) -> str:
        """Of all pieces so far."""
        self._settle()
        return PREFIX + self._sha.hexdigest()
