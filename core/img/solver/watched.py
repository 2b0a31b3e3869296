"""A blob of a remote cache as a stream that gives up: a cache that fails, or is slower than building, is lost."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import IO, Any, Protocol, cast

from img.errors import CacheLost, Cancelled, CorruptBlob, ImgError, NotFound
from img.oci.spec import Descriptor

DEADLINE = 5.0
"""Seconds that a remote cache is waited for, unless the setting ``cache_deadline`` says otherwise."""
SLOWEST = 16 << 10
"""Bytes a second that have to come on average over each deadline."""


class Engine(Protocol):
    lost: set[tuple[tuple[str, str], ...]]

    @property
    def settings(self) -> Mapping[str, str]: ...

    def load(self, kind: str, name: str) -> Any: ...


def deadline(settings: Mapping[str, str]) -> float:
    """The setting ``cache_deadline`` in seconds; text that is no number is as if it was not set."""
    try:
        return max(0.1, float(settings.get("cache_deadline") or DEADLINE))
    except ValueError:
        return DEADLINE


class Watched(io.BufferedIOBase, IO[bytes]):
    """The bytes of `descriptor` from `offset` on. Opening and reading raise `CacheLost` or `Cancelled`, nothing else."""

    def __init__(self, engine: Engine, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> None:
        self._engine = engine
        self._origin = origin
        self._digest = descriptor.digest
        self._window = deadline(engine.settings)
        self._since, self._came = time.monotonic(), 0
        if place_of(origin) in engine.lost:
            raise CacheLost(f"the cache {origin['cache']} has failed before", digest=self._digest, whole=True)
        try:
            plugin = engine.load("cache", origin["cache"])
            self._stream = cast(IO[bytes], plugin.open_blob(origin, descriptor, offset))
        except Cancelled:
            raise
        except (ImgError, OSError) as error:
            raise self._lost(error) from error

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        try:
            data = self._stream.read(-1 if size is None else size)
        except Cancelled:
            raise
        except (ImgError, OSError) as error:
            raise self._lost(error) from error
        self._came += len(data)
        now = time.monotonic()
        if data and now - self._since > self._window:
            if self._came < SLOWEST * (now - self._since):
                raise self._lost(ImgError(f"a remote cache sends fewer than {SLOWEST} bytes a second"))
            self._since, self._came = now, 0
        return data

    def close(self) -> None:
        if not self.closed and hasattr(self, "_stream"):
            self._stream.close()
        super().close()

    def _lost(self, error: ImgError | OSError) -> CacheLost:
        whole = not isinstance(error, CorruptBlob | NotFound | FileNotFoundError)
        if whole:
            self._engine.lost.add(place_of(self._origin))
        message = error.message if isinstance(error, ImgError) else str(error)
        return CacheLost(message, digest=self._digest, whole=whole)


def place_of(origin: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Where a cache is, as something that can be in a set."""
    return tuple(sorted(origin.items()))
