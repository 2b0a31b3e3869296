"""Attempts of a node."""

from __future__ import annotations

import threading

import pytest

from img.errors import BackendError, Cancelled, SourceError, StepFailed
from img.events import Event, StepRetried
from img.ir.nodes import Exec, Mkdir, Node, Scratch, Source
from img.solver.again import again


class _Engine:
    def __init__(self) -> None:
        self.told: list[Event] = []
        self.cancelled = False

    def emit(self, event: Event) -> None:
        self.told.append(event)


class _Work:
    """Raises `errors`, one after the other, and then returns."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


STEP = Exec(Scratch(), ("x",), retry=2)


def test_the_third_attempt() -> None:
    engine, work = _Engine(), _Work(StepFailed("one"), StepFailed("two"))
    assert again(STEP, engine, work, 0.001) == "done"
    told = [(e.attempt, e.attempts, e.message, e.pause) for e in engine.told if isinstance(e, StepRetried)]
    assert told == [(2, 3, "one", 0.001), (3, 3, "two", 0.002)]


def test_the_last_error_is_the_error() -> None:
    work = _Work(SourceError("one"), SourceError("two"))
    with pytest.raises(SourceError, match="two"):
        again(Source("http", "u", retry=1), _Engine(), work, 0.001)
    assert work.calls == 2


@pytest.mark.parametrize("node", [Exec(Scratch(), ("x",)), Mkdir(Scratch(), "/x")])
def test_once_if_nothing_is_said(node: Node) -> None:
    work = _Work(StepFailed("one"))
    with pytest.raises(StepFailed):
        again(node, _Engine(), work)
    assert work.calls == 1


@pytest.mark.parametrize("error", [BackendError("no"), Cancelled()])
def test_what_stays_wrong_is_not_tried_again(error: Exception) -> None:
    work = _Work(error)
    with pytest.raises(type(error)):
        again(STEP, _Engine(), work)
    assert work.calls == 1


def test_waiting_ends_with_the_build() -> None:
    engine, work = _Engine(), _Work(StepFailed("one"))
    threading.Timer(0.1, lambda: setattr(engine, "cancelled", True)).start()
    with pytest.raises(Cancelled):
        again(STEP, engine, work, 60)
    assert work.calls == 1
