"""``--progress json``: one JSON object a line for each event, schema version 1.

``event`` is the name of the class in `img.events`; the other keys are its fields. ``data`` of a StepLog is text, with
what is not UTF-8 replaced; ``place`` is ``{file, line, column}`` or null. The first line is ``{"schema": 1}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from img.errors import Place
from img.events import Event
from img.ports import Host

SCHEMA = 1


class JsonReporter:
    """Writes to stderr, or to `stream`."""

    def __init__(self, host: Host, stream: TextIO | None = None) -> None:
        self._out = stream or sys.stderr
        print(json.dumps({"schema": SCHEMA}), file=self._out)

    def handle(self, event: Event) -> None:
        """See `img.ports.Reporter`."""
        document: dict[str, Any] = {"event": type(event).__name__}
        for name, value in event._asdict().items():
            document[name] = _plain(value)
        print(json.dumps(document), file=self._out)

    def close(self) -> None:
        """See `img.ports.Reporter`."""
        self._out.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Place):
        return {"file": value.file, "line": value.line, "column": value.column}
    return value
