"""``--progress dots``: ``.`` for a step that ran, ``-`` for one that was cached, ``x`` for one that failed."""

from __future__ import annotations

import sys

from img.events import Event, StepCached, StepDone, StepFailed
from img.ports import Host


class DotsReporter:
    """See `img.ports.Reporter`."""

    def __init__(self, host: Host) -> None:
        self._shown = False

    def handle(self, event: Event) -> None:
        """Show one event, if it is one that is shown."""
        kinds = ((StepDone, "."), (StepCached, "-"), (StepFailed, "x"))
        mark = next((mark for kind, mark in kinds if isinstance(event, kind)), "")
        self._shown |= bool(mark)
        print(mark, end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._shown:
            print(file=sys.stderr)
