"""Events on their way from a build to those who watch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue

from img.events import Event, StepCached, StepLog
from img.ir.nodes import Node
from img.ports import Reporter

BACKLOG = 16 << 20
"""Bytes of step output that may wait for slow observers before the step itself has to wait."""


class Feed:
    """A queue of events with one thread that shows them to each observer.

    An observer that raises is dropped, and its error kept in `errors`. Only output of steps ever waits for a slow
    observer, and only when more than `BACKLOG` bytes of it are unread, as a pipe would.
    """

    def __init__(self, observers: Sequence[Reporter]) -> None:
        self.errors: list[Exception] = []
        self._observers = list(observers)
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._unread = 0
        self._room = threading.Condition()
        self._thread = threading.Thread(target=self._show, name="observers", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Queue one event."""
        if isinstance(event, StepLog):
            with self._room:
                self._room.wait_for(lambda: self._unread < BACKLOG)
                self._unread += len(event.data)
        self._queue.put(event)

    def close(self) -> None:
        """Wait until every event was shown, then close the observers."""
        self._queue.put(None)
        self._thread.join()

    def _show(self) -> None:
        while (event := self._queue.get()) is not None:
            for observer in tuple(self._observers):
                self._guarded(observer, event)
            if isinstance(event, StepLog):
                with self._room:
                    self._unread -= len(event.data)
                    self._room.notify_all()
        for observer in tuple(self._observers):
            self._guarded(observer, None)

    def _guarded(self, observer: Reporter, event: Event | None) -> None:
        try:
            if event is None:
                observer.close()
            else:
                observer.handle(event)
        except Exception as error:
            self.errors.append(error)
            if observer in self._observers:
                self._observers.remove(observer)


def tell_cached(emit: Callable[[Event], None], nodes: Iterable[Node]) -> None:
    """Tell of steps that nobody had to look at, because what they lead to is known."""
    now = time.monotonic()
    for node in nodes:
        if node.notes.title:
            emit(StepCached(node.digest, node.notes.title, "the goal is known", now))
