"""Several transfers at once, a bounded number, none begun after one has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

THREADS = 6
"""Transfers at once, as other tools have it."""


def side_by_side(act: Callable[[T], object], items: Iterable[T], threads: int = THREADS) -> None:
    """Call `act` for every item. Raises the first error, when all that were running have ended."""
    pool = ThreadPoolExecutor(threads, "transfer")
    try:
        done = [pool.submit(act, item) for item in items]
        wait(done, return_when=FIRST_EXCEPTION)
        pool.shutdown(wait=True, cancel_futures=True)
        for future in done:
            if not future.cancelled():
                future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
