"""Several solves of one build side by side. The first that fails stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import TypeVar

AT_ONCE = 16
"""Targets that are built at one time. What they have in common the daemon makes once; what runs at one time is its concern."""

T = TypeVar("T")


class Stop:
    """Set once; what waits for it is called then, or at once if it is set already."""

    def __init__(self) -> None:
        self.over = False
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []

    def then(self, call: Callable[[], object]) -> Callable[[], None]:
        """Have `call` called; what comes back takes that back."""
        with self._lock:
            over = self.over
            self._calls.append(call)
        if over:
            call()

        def forget() -> None:
            with self._lock, suppress(ValueError):
                self._calls.remove(call)

        return forget

    def set(self) -> None:
        with self._lock:
            self.over = True
            calls = list(self._calls)
        for call in calls:
            call()


def side_by_side(acts: Sequence[Callable[[], T]], stop: Stop) -> list[T]:
    """What each of them gives. If one raises, `stop` is set, the others are waited for, and that error is raised."""
    if len(acts) < 2:
        return [act() for act in acts]
    with ThreadPoolExecutor(min(AT_ONCE, len(acts)), "solve") as pool:
        running = [pool.submit(act) for act in acts]
        try:
            for ended in as_completed(running):
                ended.result()
        except BaseException:
            stop.set()
            for one in running:
                one.cancel()
            raise
        return [one.result() for one in running]
