"""Events of a build on their way to whoever iterates over them, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from img.events import Event, Progress, StepLog

BACKLOG = 4 << 20
"""Bytes of step output that wait for a reader: then the step waits too. Without a reader the oldest go."""
MOST = 20_000
"""Events that wait; without a reader the oldest output and progress go."""


class Stream:
    """A reporter (`img.ports.Reporter`) that keeps events for one reader. Safe from several threads."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._ended = False
        self._reading = False
        self._changed = threading.Condition()
        self.wake: Callable[[], None] = lambda: None
        """Called on the observers' thread when there is something new."""

    def handle(self, event: Event) -> None:
        with self._changed:
            if self._reading and isinstance(event, StepLog):
                self._changed.wait_for(lambda: self._bytes < BACKLOG or not self._reading)
            self._events.append(event)
            self._bytes += len(event.data) if isinstance(event, StepLog) else 0
            if not self._reading:
                self._thin()
            self._changed.notify_all()
        self.wake()

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.wake()

    def read(self) -> None:
        """From now on nothing is lost: there is a reader."""
        with self._changed:
            self._reading = True

    def leave(self) -> None:
        """Nobody reads any more; nobody waits."""
        with self._changed:
            self._reading = False
            self._changed.notify_all()

    def take(self, block: bool) -> tuple[list[Event], bool]:
        """What there is, and whether it was the last; with `block` not before there is something."""
        with self._changed:
            if block:
                self._changed.wait_for(lambda: self._events or self._ended)
            found = list(self._events)
            self._events.clear()
            self._bytes = 0
            self._changed.notify_all()
            return found, self._ended

    def _thin(self) -> None:
        while self._events and (self._bytes > BACKLOG or len(self._events) > MOST):
            for at, event in enumerate(self._events):
                if isinstance(event, StepLog | Progress):
                    del self._events[at]
                    self._bytes -= len(event.data) if isinstance(event, StepLog) else 0
                    break
            else:
                self._events.popleft()
