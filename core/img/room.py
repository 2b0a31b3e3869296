"""The room that a build may take in the store: the setting ``store_max`` (`img.store.limit` keeps it)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from img.engine import Engine
from img.settings import size_of


@contextmanager
def limited(engine: Engine) -> Iterator[None]:
    """Keep the store at ``store_max`` for the time of a build, if that is set.

    Raises `UsageError` for a setting that is no size, `StoreError` if what is needed is more.
    """
    most = size_of(engine.settings.get("store_max", ""), "store_max")
    if not most:
        yield
        return
    from img.store.limit import Limit

    limit = Limit(engine.store, lambda: engine.sandbox, most, engine.emit)
    usual, engine.store.blobs.room = engine.store.blobs.room, limit.keep
    try:
        yield
    finally:
        engine.store.blobs.room = usual
    limit.finish()
