"""The conformance suite for reporters.

from img.testing.reporters import ReporterConformance

class TestMine(ReporterConformance):
    reporter = "mine"
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from img.errors import Place
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
    StepStarted,
    Warning,
)
from img.plan import Answers
from img.request import Options
from img.session import Session
from img.testing import builders
from img.testing.suite import Conformance

STEP, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
PLACE = Place("Dockerfile", 3, 1, 3, "RUN make")
HOSTILE = "\x1b]0;title\x07\x1b[2J\0\ud800\u202e\r\nlong" + "x" * 5000
"""A title or message from a build file that wants the terminal."""


class Later(NamedTuple):
    """An event of a version to come."""

    words: str
    time: float


def whole_build(words: str = "RUN make") -> list[Event]:
    """Every kind of event, in an order that a build may have."""
    return [
        BuildStarted(((STEP, words), (OTHER, "COPY . /")), 0.0),
        Note("the rung is overlay", 0.0),
        StepCached(OTHER, "COPY . /", "by its definition", 0.1),
        StepStarted(STEP, words, PLACE, 0.2, "the file a changed"),
        Progress("", "pull sha256:1", "pulling", 0, 0, 0.3),
        Progress("", "pull sha256:1", "pulling", 5, 10, 0.4),
        StepLog(STEP, "stdout", b"half a li", 0.5),
        StepLog(STEP, "stdout", b"ne\nand another\n\xff\xfe\x00", 0.6),
        StepLog(STEP, "stderr", b"trouble\r\n", 0.7),
        Warning("this is doubtful", PLACE, 0.8, "SomeRule", "https://example.org/SomeRule"),
        Warning("this too", None, 0.8),
        StepDone(STEP, words, 0.6, 0.9),
        StepStarted(OTHER, words, None, 0.9),
        StepFailed(OTHER, words, "it ended with exit code 1", 1.0),
        BuildDone(False, 1.0, 1.1),
    ]


class ReporterConformance(Conformance):
    """Events shown: whatever comes, quickly, and never on standard output, which is the command's own."""

    kind = "reporter"
    reporter: ClassVar[str] = ""
    seconds: ClassVar[float] = 5.0
    """What 20,000 lines of output may take at most, on a slow machine."""

    def test_every_kind_of_event(self, plugin: Any, capfd: pytest.CaptureFixture[str]) -> None:
        for event in whole_build():
            plugin.handle(event)
        plugin.close()
        assert capfd.readouterr().out == "", "standard output is for what the command prints"

    def test_any_text_and_any_order(self, plugin: Any) -> None:
        events = whole_build(HOSTILE)
        for event in [*reversed(events), *events, StepLog("nobody's", "stderr", b"\n" * 50, 1.0)]:
            plugin.handle(event)
        plugin.close()

    def test_titles_do_not_drive_the_terminal(self, plugin: Any, capfd: pytest.CaptureFixture[str]) -> None:
        for event in whole_build(HOSTILE):
            if not isinstance(event, StepLog):
                plugin.handle(event)
        plugin.close()
        shown = capfd.readouterr().err
        assert "\x1b]0;title" not in shown and "\x1b[2J" not in shown and "\0" not in shown

    def test_events_of_a_version_to_come_are_let_go(self, plugin: Any) -> None:
        plugin.handle(Later("words", 0.0))
        plugin.close()

    def test_nothing_at_all(self, plugin: Any) -> None:
        plugin.close()

    def test_it_keeps_up(self, plugin: Any) -> None:
        plugin.handle(StepStarted(STEP, "RUN make", PLACE, 0.0))
        began = time.monotonic()
        for number in range(20_000):
            plugin.handle(StepLog(STEP, "stdout", b"line %d of many\n" % number, 0.1))
        plugin.close()
        assert time.monotonic() - began < self.seconds

    def test_it_shows_a_build(self, plugin: Any, session: Session, tmp_path: Path) -> None:
        failed: list[Exception] = []

        class Guard:
            def handle(self, event: Event) -> None:
                try:
                    plugin.handle(event)
                except Exception as error:
                    failed.append(error)

            def close(self) -> None:
                plugin.close()

        state = builders.state(tmp_path / "context")
        made = state.definition(Answers(session.engine), "linux/amd64")
        contexts = {name: Path(path) for name, path in state.contexts.items()}
        session.build_definition(made, Options(), contexts, [Guard()])
        assert failed == []
