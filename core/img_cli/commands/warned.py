"""The warnings of a build, shown once and last: with their places, after all that scrolls by."""

from __future__ import annotations

from typing import TextIO

from img.events import Event, Warning
from img_cli.outcome import excerpt, printable


class Warned:
    """An observer of a build that keeps what the checks say about the build file. See `img.ports.Reporter`.

    Reporters leave these out, except for ``json``, which prints each event as it comes.
    """

    def __init__(self) -> None:
        self.found: list[Warning] = []

    def handle(self, event: Event) -> None:
        """See `img.ports.Reporter`."""
        if isinstance(event, Warning) and event.rule:
            self.found.append(event)

    def close(self) -> None:
        """See `img.ports.Reporter`."""

    def show(self, out: TextIO) -> None:
        """Print each with its place and the source, and how many there were."""
        for warning in self.found:
            print(f"warning: {warning.rule}: {printable(warning.message)}", file=out)
            for line in excerpt(warning.place) if warning.place else ():
                print(line, file=out)
        if self.found:
            count = "1 warning" if len(self.found) == 1 else f"{len(self.found)} warnings"
            print(f"{count} found (--check shows them without a build, img lint --fix repairs what it can)", file=out)
