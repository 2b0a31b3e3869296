"""What a step writes, on its way from two pipes to the build's events."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from typing import Any

from img.events import StepLog
from img.ports import Host

TAIL = 30
"""Lines of output that a failed step shows again."""


class Output:
    """Two pipes and one thread that reads both into the build's events: what came first is told first."""

    def __init__(self, host: Host, step: str) -> None:
        self._host = host
        self._step = step
        self._lines: deque[bytes] = deque(maxlen=TAIL)
        self._partial = {"stdout": b"", "stderr": b""}
        pipes = [os.pipe(), os.pipe()]
        self.ends = (pipes[0][1], pipes[1][1])
        self._readers: dict[int, Any] = {pipes[0][0]: "stdout", pipes[1][0]: "stderr"}
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)

    def started(self) -> None:
        """The step has its ends now: close ours, and read."""
        for end in self.ends:
            os.close(end)
        self._thread.start()

    def finish(self) -> None:
        """Wait until everything that was written has been read."""
        self._thread.join()

    def tail(self) -> tuple[str, ...]:
        """The last lines of both streams, as they came."""
        lines = [*self._lines, *filter(None, self._partial.values())]
        return tuple(line.decode("utf-8", "replace") for line in lines[-TAIL:])

    def _read(self) -> None:
        watched = select.poll()
        for reader in self._readers:
            watched.register(reader, select.POLLIN)
        while self._readers:
            ready = {reader for reader, _ in watched.poll()}
            for reader, name in list(self._readers.items()):  # of two at once, stdout: an error's reason follows
                if reader not in ready:
                    continue
                if data := os.read(reader, 65536):
                    self._take(name, data)
                else:
                    watched.unregister(reader)
                    os.close(reader)
                    del self._readers[reader]

    def _take(self, name: Any, data: bytes) -> None:
        *whole, partial = (self._partial[name] + data).split(b"\n")
        self._partial[name] = partial[-65536:]
        self._lines.extend(whole)
        self._host.emit(StepLog(self._step, name, data, time.monotonic()))
