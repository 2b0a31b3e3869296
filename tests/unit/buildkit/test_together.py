"""Several solves of one build: side by side, and ended together."""

from __future__ import annotations

import threading

import pytest

from img_plugins.backends.buildkit.together import Stop, side_by_side


def test_they_run_at_once_and_give_what_they_give_in_order() -> None:
    met = threading.Barrier(3, timeout=10)

    def act(number: int) -> int:
        met.wait()
        return number

    assert side_by_side([lambda n=n: act(n) for n in range(3)], Stop()) == [0, 1, 2]  # type: ignore[misc]


def test_the_first_that_fails_stops_the_others() -> None:
    stop, stopped, begun = Stop(), threading.Event(), threading.Event()

    def waits() -> None:
        forget = stop.then(stopped.set)
        begun.set()
        assert stopped.wait(10)
        forget()
        raise RuntimeError("because it was stopped")

    def fails() -> None:
        assert begun.wait(10)
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        side_by_side([waits, fails], stop)
    assert stop.over


def test_what_comes_late_is_stopped_at_once_and_what_is_taken_back_never() -> None:
    stop, calls = Stop(), []
    stop.then(lambda: calls.append("taken back"))()
    stop.then(lambda: calls.append("in time"))
    stop.set()
    stop.then(lambda: calls.append("late"))
    assert calls == ["in time", "late"]
