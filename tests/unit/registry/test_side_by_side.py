"""Several transfers at once."""

from __future__ import annotations

import threading
import time

import pytest

from img_plugins.registry.side_by_side import side_by_side


def test_all_are_done_a_few_at_a_time() -> None:
    lock, now, most, done = threading.Lock(), 0, 0, []

    def act(item: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
            done.append(item)

    side_by_side(act, range(20), threads=3)
    assert sorted(done) == list(range(20))
    assert most == 3


def test_nothing_begins_after_an_error() -> None:
    begun: list[int] = []

    def act(item: int) -> None:
        begun.append(item)
        time.sleep(0.01)
        if item == 0:
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        side_by_side(act, range(100), threads=2)
    assert len(begun) < 10
