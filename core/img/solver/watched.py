"""A blob of a remote cache as a stream that gives up: a cache that fails, or is slower than building, is lost."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Mapping
from typing import IO, Any, Protocol

from img.errors import CacheLost, Cancelled, CorruptBlob, ImgError, PluginError
from img.oci.spec import Descriptor

DEADLINE = 5.0
"""Seconds that a remote cache is waited for, unless the setting ``cache_deadline`` says otherwise."""
PIECE = 64 << 10
"""Bytes that have to come within each deadline."""
AHEAD = 16
"""Pieces that are read ahead."""


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
    """The bytes of `descriptor` from `offset` on. Opening and reading raise `CacheLost` or `Cancelled`, nothing else.

    A thread reads ahead, because a read that has begun can't be given up: the thread then ends by itself.
    """

    def __init__(self, engine: Engine, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> None:
        self._engine = engine
        self._origin = origin
        self._descriptor = descriptor
        self._window = deadline(engine.settings)
        self._pieces: queue.Queue[bytes | Exception] = queue.Queue(AHEAD)
        self._rest = b""
        self._ended = False
        self._stop = threading.Event()
        if place_of(origin) in engine.lost:
            raise CacheLost("it has failed before", digest=descriptor.digest, whole=True)
        threading.Thread(target=self._pump, args=(offset,), name="cache", daemon=True).start()

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        parts: list[bytes] = []
        left = self._descriptor.size + 1 if size is None or size < 0 else size
        while left and (data := self._rest or self._next()):
            parts.append(data[:left])
            self._rest = data[left:]
            left -= len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        self._stop.set()
        super().close()

    def _next(self) -> bytes:
        if self._ended:
            return b""
        try:
            found = self._pieces.get(timeout=self._window)
        except queue.Empty:
            found = ImgError(f"a remote cache sends less than {PIECE >> 10} KiB in {self._window:g} s")
        if isinstance(found, Cancelled):
            raise found
        if isinstance(found, Exception):
            raise self._lost(found) from found
        self._ended = not found
        return found

    def _pump(self, offset: int) -> None:
        try:
            plugin = self._engine.load("cache", self._origin["cache"])
            with plugin.open_blob(self._origin, self._descriptor, offset) as stream:
                while self._put(data := stream.read(PIECE)) and data:
                    pass
        except (ImgError, OSError) as error:
            self._put(error)
        except Exception as error:
            self._put(PluginError(f"{type(error).__name__}: {error}"))

    def _put(self, piece: bytes | Exception) -> bool:
        """Hand a piece over; False if nobody wants it any more."""
        while not self._stop.is_set():
            try:
                self._pieces.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def _lost(self, error: Exception) -> CacheLost:
        whole = not isinstance(error, CorruptBlob)
        if whole:
            self._engine.lost.add(place_of(self._origin))
        message = error.message if isinstance(error, ImgError) else str(error)
        return CacheLost(message, digest=self._descriptor.digest, whole=whole)


def place_of(origin: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Where a cache is, as something that can be in a set."""
    return tuple(sorted(origin.items()))
