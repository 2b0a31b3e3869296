"""``type=inline``: the cache goes into the configuration of the images themselves (`img.solver.inline`), which the engine
does before they are exported. It is read with ``--cache-from`` from the image's own name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO

from img.errors import UsageError
from img.oci.spec import Descriptor
from img.ports import CacheFound, Host
from img.store.forms import LayerBlob
from img_plugins.caches.attrs import check_attrs


class InlineCache:
    """See `img.ports.CachePlugin`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, attrs: Mapping[str, str], writes: bool) -> None:
        if not writes:
            raise UsageError(
                "--cache-from can't be type=inline", hint="name the image that carries the cache: type=registry,ref=…"
            )
        check_attrs(attrs, "inline", writes, (), "")
        if attrs.get("mode", "min") != "min":
            raise UsageError("type=inline is mode=min only: an image has just its own layers", hint="use type=registry")

    def load(self, attrs: Mapping[str, str]) -> Sequence[CacheFound]:
        return []

    def missing(self, origin: Mapping[str, str], blobs: Sequence[Descriptor]) -> frozenset[str]:
        return frozenset(blob.digest for blob in blobs)

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        raise UsageError("an image's own cache is read by its name")

    def save(
        self, attrs: Mapping[str, str], document: bytes, blobs: Sequence[LayerBlob], mark: str | None = None
    ) -> str:
        return "the images"
