"""Events on their way from a build to those who watch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import NamedTuple

from img.errors import in_words
from img.events import Event, StepCached, StepLog, Warning
from img.ir.nodes import Node
from img.ports import Reporter

BACKLOG = 16 << 20
"""Bytes of step output that may wait for slow observers before the step itself has to wait."""
PATIENCE = 30.0
"""Seconds that a build waits in all for the reporter of a stranger's package. For others it waits as for a pipe."""


class Feed:
    """Shows events to observers.

    An observer that raises is dropped, and its error kept in `errors`. Only output of steps ever waits for a slow
    observer, and only when more than `BACKLOG` bytes of it are unread, as a pipe would. The observers share a thread; one that
    `author` knows as a stranger's has a thread of its own, is dropped when it has cost `patience` seconds, and `fallback`
    makes what stands in for it. Whoever is dropped, the others are told.
    """

    def __init__(
        self,
        observers: Sequence[Reporter],
        author: Callable[[object], str] = lambda observer: "",
        fallback: Callable[[], Reporter] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.errors: list[BaseException] = []
        self._fallback = fallback
        authors = [(observer, author(observer)) for observer in observers]
        self._shared = _Lane(self, [observer for observer, name in authors if not name], "", 0)
        self._apart = [_Lane(self, [observer], name, patience) for observer, name in authors if name]

    def emit(self, event: Event) -> None:
        """Queue one event."""
        for lane in (*self._apart, self._shared):
            lane.put(event)

    def warn(self, words: str) -> None:
        """Queue a warning."""
        self.emit(Warning(words, None, time.monotonic()))

    def close(self) -> None:
        """Wait until every event was shown, then close the observers."""
        for lane in self._apart:
            lane.close()
        self._shared.close()

    def dropped(self, lane: _Lane, observer: Reporter, words: str) -> None:
        """An observer is switched off."""
        self._shared.put(Warning(words, None, time.monotonic()))
        if lane is not self._shared and self._fallback is not None:
            self._shared.join(self._fallback(), words)


class _Joined(NamedTuple):
    """One more observer of a lane; it begins with `words`."""

    observer: Reporter
    words: str


class _Lane:
    """One thread that shows events to some observers, in order."""

    def __init__(self, feed: Feed, observers: Sequence[Reporter], author: str, patience: float) -> None:
        self._feed = feed
        self._observers = list(observers)
        self._author = author
        self._patience = patience
        self._left = patience
        self._queue: SimpleQueue[Event | _Joined | None] = SimpleQueue()
        self._unread = 0
        self._room = threading.Condition()
        self._dead = False
        self._thread = threading.Thread(target=self._show, name="observers", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        if self._dead:
            return
        if isinstance(event, StepLog):
            began = time.monotonic()
            with self._room:
                there = self._room.wait_for(lambda: self._unread < BACKLOG, self._left if self._patience else None)
                self._unread += len(event.data)
            self._left = max(0.0, self._left - (time.monotonic() - began))
            if not there:
                self._give_up()
                return
        self._queue.put(event)

    def join(self, observer: Reporter, words: str) -> None:
        """One more observer, from now on; it begins with `words`."""
        self._queue.put(_Joined(observer, words))

    def close(self) -> None:
        if self._dead:
            return
        self._queue.put(None)
        self._thread.join(max(self._left, 0.1) if self._patience else None)
        if self._thread.is_alive():
            self._give_up()

    def _give_up(self) -> None:
        self._dead = True
        for observer in self._observers:
            self._feed.dropped(
                self, observer, f"the reporter of {self._author} is switched off: it cost {self._patience:g} seconds"
            )
        self._observers.clear()

    def _show(self) -> None:
        while (event := self._queue.get()) is not None:
            if isinstance(event, _Joined):
                self._observers.append(event.observer)
                self._guarded(event.observer, Warning(event.words, None, time.monotonic()))
                continue
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
        except BaseException as error:  # the thread is the observers' own: whatever it is, it is theirs
            self._feed.errors.append(error)
            if observer in self._observers:
                self._observers.remove(observer)
                whose = f"the reporter of {self._author}" if self._author else "an observer"
                self._feed.dropped(self, observer, f"{whose} is switched off: {in_words(error)}")


def tell_cached(emit: Callable[[Event], None], nodes: Iterable[Node]) -> None:
    """Tell of steps that nobody had to look at, because what they lead to is known."""
    now = time.monotonic()
    for node in nodes:
        if node.notes.title:
            emit(StepCached(node.digest, node.notes.title, "the goal is known", now))
