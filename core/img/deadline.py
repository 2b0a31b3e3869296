"""A limit on the time of a whole build: when it is over, everything that runs is stopped, and named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from img.engine import Engine
from img.errors import Cancelled, TimedOut
from img.events import Event, StepDone, StepFailed, StepStarted


@contextmanager
def deadline(engine: Engine, seconds: float, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` after `seconds` (0: never) and turn the cancellation that follows into `TimedOut`. Events of the build
    are looked at on their way, so as to say what was running."""
    if not seconds:
        yield
        return
    running: dict[str, tuple[str, float]] = {}
    late: list[str] = []
    sink = engine.sink

    def watch(event: Event) -> None:
        if isinstance(event, StepStarted):
            running[event.step] = (event.title, event.time)
        elif isinstance(event, StepDone | StepFailed) and not late:
            running.pop(event.step, None)
        sink(event)

    def end() -> None:
        now = time.monotonic()
        late[:] = [f"{title} (for {now - since:.0f} s)" for title, since in list(running.values())] or ["no step"]
        stop()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    engine.sink = watch
    timer.start()
    try:
        yield
    except Cancelled as error:
        if not late:
            raise
        raise TimedOut(
            f"the build took longer than {seconds:g} s, its limit; at that time ran: {'; '.join(late)}",
            hint="give it longer: --timeout; what was done is cached",
        ) from error
    finally:
        timer.cancel()
        engine.sink = sink
