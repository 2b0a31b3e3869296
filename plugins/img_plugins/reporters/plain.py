"""``--progress plain``: one line for each thing that happens, steps told apart by number. For logs and CI."""

from __future__ import annotations

import sys
from typing import TextIO

from img.events import (
    BuildDone,
    BuildStarted,
    Event,
    Note,
    Progress,
    StepCached,
    StepDone,
    StepFailed,
    StepLog,
    StepRetried,
    StepStarted,
    Warning,
)
from img.ports import Host


class PlainReporter:
    """Writes to stderr, or to `stream`. Lines of one step may stand between those of another."""

    def __init__(self, host: Host, stream: TextIO | None = None) -> None:
        self._out = stream or sys.stderr
        self._numbers: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._partial: dict[str, str] = {}
        self._told: set[str] = set()

    def handle(self, event: Event) -> None:
        """See `img.ports.Reporter`."""
        if isinstance(event, StepStarted):
            self._started[event.step] = event.time
            self._line(event.step, event.title)
            if event.why:
                self._line(event.step, f"not cached: {event.why}")
        elif isinstance(event, StepCached):
            self._line(event.step, event.title)
            self._line(event.step, "CACHED")
        elif isinstance(event, StepLog):
            self._log(event)
        elif isinstance(event, StepDone):
            self._flush(event.step, event.time)
            self._line(event.step, f"DONE {event.seconds:.1f}s")
        elif isinstance(event, StepFailed):
            self._flush(event.step, event.time)
            self._line(event.step, f"ERROR: {event.message}")
        elif isinstance(event, StepRetried):
            self._flush(event.step, event.time)
            self._line(event.step, f"{event.message}; attempt {event.attempt} of {event.attempts} in {event.pause:g}s")
        else:
            self._other(event)

    def _other(self, event: Event) -> None:
        if isinstance(event, Warning) and not event.rule:
            print(f"warning: {event.message}", file=self._out)
        elif isinstance(event, Note):
            print(event.message, file=self._out)
        elif isinstance(event, Progress) and event.total and event.current >= event.total:
            key = f"{event.action} {event.id}"
            if key not in self._told:
                self._told.add(key)
                print(f"{event.action} {event.id[:19]} {event.total} bytes", file=self._out)
        elif isinstance(event, BuildStarted | BuildDone):
            self._out.flush()

    def close(self) -> None:
        """See `img.ports.Reporter`."""
        self._out.flush()

    def _number(self, step: str) -> int:
        return self._numbers.setdefault(step, len(self._numbers) + 1)

    def _line(self, step: str, text: str) -> None:
        print(f"#{self._number(step)} {printable(text)}", file=self._out)

    def _log(self, event: StepLog) -> None:
        *lines, rest = (self._partial.get(event.step, "") + event.data.decode("utf-8", "replace")).split("\n")
        self._partial[event.step] = rest[-65536:]
        since = event.time - self._started.get(event.step, event.time)
        for line in lines:
            self._line(event.step, f"{since:.3f} {line.rstrip()}")

    def _flush(self, step: str, time: float) -> None:
        rest = self._partial.pop(step, "")
        if rest:
            self._line(step, f"{time - self._started.get(step, time):.3f} {rest}")


def printable(text: str) -> str:
    """Text without control characters, which a log's reader should not obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\t\x1b" else "\N{REPLACEMENT CHARACTER}" for c in text)
