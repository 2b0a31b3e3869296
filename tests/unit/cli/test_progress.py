"""The reporters: plain lines, JSON lines and the live display."""

from __future__ import annotations

import io
import json

from img.events import (
    BuildDone,
    BuildStarted,
    StepCached,
    StepDone,
    StepLog,
    StepStarted,
    Warning,
)
from img.events import (
    StepFailed as Failed,
)

EVENTS = [
    BuildStarted((("a", "[s 1/2] RUN a"), ("b", "[s 2/2] RUN b")), 0.0),
    StepCached("a", "[s 1/2] RUN a", "by its definition", 0.1),
    StepStarted("b", "[s 2/2] RUN b", None, 1.0),
    StepLog("b", "stdout", b"one\ntw", 1.5),
    StepLog("b", "stderr", b"o\nno newline", 2.0),
    StepDone("b", "[s 2/2] RUN b", 1.5, 2.5),
    Warning("careful", None, 2.6),
    Failed("c", "RUN c", "it broke", 2.7),
    BuildDone(True, 3.0, 3.0),
]


def test_plain_progress() -> None:
    from img_plugins.reporters.plain import PlainReporter

    out = io.StringIO()
    reporter = PlainReporter(None, out)  # type: ignore[arg-type]
    for event in EVENTS:
        reporter.handle(event)
    reporter.close()
    assert out.getvalue().splitlines() == [
        "#1 [s 1/2] RUN a",
        "#1 CACHED",
        "#2 [s 2/2] RUN b",
        "#2 0.500 one",
        "#2 1.000 two",
        "#2 1.500 no newline",
        "#2 DONE 1.5s",
        "warning: careful",
        "#3 ERROR: it broke",
    ]


def test_json_progress() -> None:
    from img_plugins.reporters.json import JsonReporter

    out = io.StringIO()
    reporter = JsonReporter(None, out)  # type: ignore[arg-type]
    for event in EVENTS:
        reporter.handle(event)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0] == {"schema": 1}
    assert [line["event"] for line in lines[1:4]] == ["BuildStarted", "StepCached", "StepStarted"]
    assert lines[4] == {"event": "StepLog", "step": "b", "stream": "stdout", "data": "one\ntw", "time": 1.5}


def test_the_live_display_draws_and_cleans_up() -> None:
    from img_plugins.reporters.tty import TtyReporter

    out = io.StringIO()
    reporter = TtyReporter(None, out)  # type: ignore[arg-type]
    for event in EVENTS:
        reporter.handle(event)
        if isinstance(event, StepLog):
            reporter._draw()
    reporter.close()
    text = out.getvalue()
    assert "[s 2/2] RUN b" in text
    assert "careful" in text
    assert "built: 2/2 steps, 1 cached" in text
