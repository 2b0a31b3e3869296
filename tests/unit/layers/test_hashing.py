"""Digests of streams, computed beside them."""

from __future__ import annotations

import hashlib
import threading

import pytest

from img import hashing
from img.hashing import SMALL, Record


@pytest.mark.parametrize("sizes", [(), (5,), (SMALL,), (SMALL + 1, 7), (1 << 20,) * 12])
def test_the_digest_is_that_of_all_pieces(sizes: tuple[int, ...]) -> None:
    record, whole = Record(), hashlib.sha256()
    for number, size in enumerate(sizes):
        data = bytes([number]) * size
        record.update(data)
        whole.update(data)
        assert record.size == sum(sizes[: number + 1])
    assert record.digest == f"sha256:{whole.hexdigest()}"
    record.update(b"more")
    whole.update(b"more")
    assert record.digest == f"sha256:{whole.hexdigest()}"


def test_no_thread_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    record = Record()
    for _ in range(3):
        record.update(bytes(hashing.SMALL))
    assert record.digest == f"sha256:{hashlib.sha256(bytes(3 * hashing.SMALL)).hexdigest()}"
