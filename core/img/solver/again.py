"""Doing a node again that failed, as often as it says, with longer and longer pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from img.errors import Cancelled, RegistryError, SourceError, StepFailed
from img.events import Event, StepRetried
from img.ir.nodes import Exec, Node, Source

T = TypeVar("T")

PAUSE, LONGEST = 1.0, 30.0
"""Seconds before the second attempt, doubled before each that follows, up to the longest."""
PASSING = (StepFailed, SourceError, RegistryError)
"""What may go better another time. The rest is wrong and stays wrong: paths, digests, what a backend can't do."""


class Teller(Protocol):
    """What is needed of the engine."""

    def emit(self, event: Event) -> None: ...

    @property
    def cancelled(self) -> bool: ...


def again(node: Node, teller: Teller, work: Callable[[], T], pause: float = PAUSE) -> T:
    """What `work` returns, in one of the attempts that `node` has. A failed attempt leaves nothing behind: that is the
    contract of workers and sources. Raises what the last attempt raised, and `Cancelled`."""
    attempts = 1 + (node.retry if isinstance(node, Exec | Source) else 0)
    for attempt in range(2, attempts + 1):
        try:
            return work()
        except PASSING as error:
            if teller.cancelled:
                raise
            now = time.monotonic()
            teller.emit(StepRetried(node.digest, node.notes.title, error.message, attempt, attempts, pause, now))
        _wait(teller, pause)
        pause = min(2 * pause, LONGEST)
    return work()


def _wait(teller: Teller, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if teller.cancelled:
            raise Cancelled
        time.sleep(min(left, 0.05))
