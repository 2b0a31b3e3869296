"""``--progress tty``: a live display. Finished steps scroll by, running ones stay at the bottom with their last lines.

rich is imported when the first step starts: a fully cached build shows one line and never needs it.
"""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from typing import Any, TextIO

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

RUNNING = 12
"""Steps shown at once; how many more there are is told in a line."""
TAIL = 6
"""Lines of output shown of a running step."""

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)")


class TtyReporter:
    """Draws on stderr, or on `stream`."""

    def __init__(self, host: Host, stream: TextIO | None = None) -> None:
        self._out = stream or sys.stderr
        self._live: Any = None
        self._running: dict[str, StepStarted] = {}
        self._lines: dict[str, deque[str]] = {}
        self._why: dict[str, str] = {}
        self._partial: dict[str, str] = {}
        self._moving: dict[str, Progress] = {}
        self._cached = 0
        self._done = 0
        self._total = 0
        self._began = time.monotonic()

    def handle(self, event: Event) -> None:
        """See `img.ports.Reporter`."""
        if isinstance(event, BuildStarted):
            self._total = len(event.steps)
            self._began = event.time
        elif isinstance(event, StepStarted):
            self._start()
            self._running[event.step] = event
            if event.why:
                self._why[event.step] = event.why
            self._lines[event.step] = deque(maxlen=TAIL)
        elif isinstance(event, StepCached):
            self._cached += 1
        elif isinstance(event, StepLog):
            self._log(event)
        elif isinstance(event, StepDone):
            why = self._why.get(event.step, "")
            shown = f" [dim]({_safe(why)})[/]" if why else ""
            self._over(event.step, f"[green]✔[/] {_safe(event.title)} [dim]{event.seconds:.1f}s[/]{shown}")
            self._done += 1
        elif isinstance(event, StepFailed):
            self._over(event.step, f"[red]✘[/] {_safe(event.title)} [red]{_safe(event.message)}[/]")
        elif isinstance(event, StepRetried):
            soon = f"attempt {event.attempt} of {event.attempts} in {event.pause:g}s"
            self._print(f"[yellow]↻[/] {_safe(event.title)} [yellow]{_safe(event.message)}; {soon}[/]")
        elif isinstance(event, Progress):
            self._move(event)
        elif isinstance(event, Warning):
            if not event.rule:
                self._print(f"[yellow]warning:[/] {_safe(event.message)}")
        elif isinstance(event, Note):
            self._print(_safe(event.message))
        elif isinstance(event, BuildDone):
            self._end(event)

    def close(self) -> None:
        """See `img.ports.Reporter`."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # --- what is shown -----------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._out, highlight=False)
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=10, transient=True)
        self._live.start()

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic()
        rows: list[Any] = []
        running = list(self._running.values())
        width = self._live.console.width if self._live else 80
        for step in running[:RUNNING]:
            rows.append(_row(f"▸ {_plain(step.title)}", f"{now - step.time:.1f}s", width))
            budget = TAIL if len(running) == 1 else 2 if len(running) < 5 else 0
            for line in list(self._lines.get(step.step, ()))[-budget:] if budget else ():
                rows.append(Text(f"  │ {line}", style="dim", no_wrap=True, overflow="ellipsis"))
        if len(running) > RUNNING:
            rows.append(Text(f"  … and {len(running) - RUNNING} more running", style="dim"))
        for moving in list(self._moving.values())[:4]:
            share = f"{100 * moving.current // moving.total}%" if moving.total else f"{moving.current >> 20} MiB"
            rows.append(_row(f"  {moving.action} {moving.id[7:19]}", share, width))
        rows.append(Text(self._summary(now), style="bold"))
        return Group(*rows)

    def _summary(self, now: float) -> str:
        return f"{self._done + self._cached}/{self._total} steps, {self._cached} cached, {now - self._began:.1f}s"

    def _print(self, markup: str) -> None:
        self._start()
        self._live.console.print(markup, soft_wrap=True)

    def _over(self, step: str, markup: str) -> None:
        self._running.pop(step, None)
        self._lines.pop(step, None)
        self._partial.pop(step, None)
        self._print(markup)

    def _log(self, event: StepLog) -> None:
        text = self._partial.get(event.step, "") + event.data[-65536:].decode("utf-8", "replace")
        *lines, rest = text.split("\n")
        self._partial[event.step] = rest[-4096:]
        shown = self._lines.get(event.step)
        if shown is not None:
            shown.extend(_plain(line.rpartition("\r")[2])[:500] for line in lines[-TAIL:])

    def _move(self, event: Progress) -> None:
        self._start()
        if event.total and event.current >= event.total:
            self._moving.pop(event.id, None)
        else:
            self._moving[event.id] = event

    def _end(self, event: BuildDone) -> None:
        self.close()
        mark = "built" if event.ok else "stopped"
        print(f"{mark}: {self._summary(event.time)}", file=self._out)


def _row(left: str, right: str, width: int) -> Any:
    from rich.text import Text

    room = max(width - len(right) - 2, 8)
    text = left if len(left) <= room else left[: room - 1] + "…"
    return Text.assemble(text.ljust(room), (f" {right}", "dim"), no_wrap=True)


def _plain(text: str) -> str:
    """Text of a step, which is not trusted, without escape sequences and control characters."""
    return "".join(c if c.isprintable() else " " for c in _ESCAPES.sub("", text.expandtabs()))


def _safe(text: str) -> str:
    return _plain(text).replace("[", "\\[")
