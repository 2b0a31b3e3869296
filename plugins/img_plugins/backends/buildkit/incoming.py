"""Blobs of a result, as the daemon writes them (``containerd.services.content.v1.Content/Write``): those that the store has,
or knows where to get, it is told to keep. So a base's layers never travel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from img.digest import is_digest
from img.errors import CorruptBlob
from img.ports import Host

CHUNK = 1 << 20


class Incoming:
    """The calls of the service that write."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def known(self, digest: str) -> bool:
        """Whether a blob is here, or a layer whose blob it is can be had."""
        layers = self._host.store.layers
        if self._host.store.blobs.has(digest):
            return True
        holder = layers.holder(digest)
        return holder is not None and layers.available(holder)

    def write(self, requests: Iterable[Any], context: Any) -> Iterator[Any]:
        """One blob: asked about (STAT), sent piece by piece (WRITE), and closed (COMMIT). Each message is answered with how
        far it is. Raises `CorruptBlob` for bytes that are not the promised ones."""
        place = self._host.store.scratch()
        try:
            yield from self._take(requests, context, place / "blob")
        finally:
            self._host.store.discard(place)

    def _take(self, requests: Iterable[Any], context: Any, path: Path) -> Iterator[Any]:
        from img_plugins.backends.buildkit.api import content_pb2 as content

        expected, total, offset = "", 0, 0
        with path.open("w+b") as out:
            for request in requests:
                expected, total = request.expected or expected, request.total or total
                if offset == 0 and expected and self.known(expected):
                    self._exists(context, expected)
                if request.data:
                    if request.offset != offset:
                        raise CorruptBlob(f"{expected} is sent with a gap at {offset}")
                    offset += out.write(request.data)
                digest = ""
                if request.action == content.COMMIT:
                    out.flush()
                    digest = self._keep(path, expected, offset)
                yield content.WriteContentResponse(action=request.action, offset=offset, total=total, digest=digest)

    def _keep(self, path: Path, expected: str, size: int) -> str:
        if not is_digest(expected):
            raise CorruptBlob(f"a blob is sent without its digest: {expected!r}")
        with path.open("rb") as stream:
            chunks = iter(lambda: stream.read(CHUNK), b"")
            return self._host.store.blobs.write(chunks, expected, size)[0]

    def _exists(self, context: Any, digest: str) -> None:
        import grpc

        context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{digest} is here")

    def abort(self, request: Any, context: Any) -> Any:
        """Nothing is kept of what was not closed."""
        from img_plugins.backends.buildkit.api import content_pb2 as content

        return content.Empty()
