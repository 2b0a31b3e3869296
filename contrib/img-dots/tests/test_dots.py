"""The reporter, with events by hand and in a real build of a graph without steps of its own."""

from __future__ import annotations

from typing import Any

import pytest

from img.events import BuildDone, BuildStarted, StepCached, StepDone, StepFailed
from img_dots.reporter import DotsReporter


def test_one_character_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    host: Any = None
    reporter = DotsReporter(host)
    failed = StepFailed(*("x" for _ in StepFailed._fields))
    for event in (BuildStarted((), 0.0), StepDone("a", "a", 0.0, 0.0), StepCached("b", "b", "", 0.0), failed):
        reporter.handle(event)
    reporter.handle(BuildDone(False, 0.0, 0.0))
    reporter.close()
    assert capsys.readouterr().err == ".-x\n"


def test_nothing_for_no_steps(capsys: pytest.CaptureFixture[str]) -> None:
    host: Any = None
    DotsReporter(host).close()
    assert capsys.readouterr().err == ""
