"""``--progress quiet``: only warnings, without those of the checks of the build file."""

from __future__ import annotations

import sys
from typing import TextIO

from img.events import Event, Warning
from img.ports import Host


class QuietReporter:
    """Writes to stderr, or to `stream`."""

    def __init__(self, host: Host, stream: TextIO | None = None) -> None:
        self._out = stream or sys.stderr

    def handle(self, event: Event) -> None:
        """See `img.ports.Reporter`."""
        if isinstance(event, Warning) and not event.rule:
            print(f"warning: {event.message}", file=self._out)

    def close(self) -> None:
        """See `img.ports.Reporter`."""
