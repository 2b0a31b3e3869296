"""Layers that a remote cache has: made elsewhere, known here by the name they got there, fetched when they are needed.

Their origin has the key ``cache``. A cache is not trusted as a base's registry is: a blob must also unpack to the diff id
that was promised, and what can't be had is forgotten rather than an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO

from img.errors import CacheLost, ImgError
from img.store.blobs import Blobs
from img.store.database import Database
from img.store.forms import Engine, Layer, LayerBlob, squash_key
from img.store.layers import Layers


def unpacks(blobs: Blobs, layer: Layer) -> None:
    """Look whether a fetched blob is what the cache said. If not it is removed: raises `CacheLost`."""
    from img.oci.compress import Hashing, decompressed

    assert layer.descriptor is not None
    digest = layer.descriptor.digest
    plain = Hashing(decompressed(blobs.chunks(digest), layer.descriptor.media_type))
    try:
        for _ in plain:
            pass
    except ImgError as error:
        blobs.remove(digest)
        raise CacheLost(error.message, digest=digest) from error
    if plain.digest != layer.diff_id:
        blobs.remove(digest)
        raise CacheLost(f"the layer {digest} unpacks to {plain.digest}, not to {layer.diff_id}", digest=digest)


class CachedLayers:
    """Safe from several threads and processes."""

    def __init__(self, layers: Layers, blobs: Blobs, database: Database, engine: Engine) -> None:
        self._layers = layers
        self._blobs = blobs
        self._database = database
        self._engine = engine

    def add(self, id: str, blob: LayerBlob, origin: Mapping[str, str], created: float) -> None:
        """Make a layer known under `id`. One that is here in any form stays as it is."""
        if not self._layers.available(id):
            self._layers.add_remote(blob.diff_id, blob.descriptor, origin, id=id, created=created)

    def add_squashed(self, group: Sequence[str], blob: LayerBlob, origin: Mapping[str, str]) -> None:
        """The same for a group of layers as one."""
        if self._layers.promised(group) is None and self._layers.known(group) is None:
            self._layers.add_remote(blob.diff_id, blob.descriptor, origin)
            row = (squash_key(group), blob.diff_id, json.dumps(blob.descriptor.to_json()))
            self._database.write("INSERT OR REPLACE INTO squashed VALUES (?, ?, ?)", row)

    def lose(self, digest: str = "", origin: Mapping[str, str] | None = None) -> int:
        """Forget that layers can be had from a remote cache: those whose blob is `digest`, or all that are at `origin`.
        Returns how many that were. What is in the store stays."""
        rows = self._database.read("SELECT id, blob, origin FROM layers WHERE origin LIKE '%\"cache\"%' AND blob != ''")
        gone: list[tuple[str]] = []
        for id, blob, where in rows:
            found = json.loads(blob)["digest"]
            if not self._blobs.has(found) and (found == digest or (origin and json.loads(where) == dict(origin))):
                gone.append((id,))
        self._database.write("UPDATE layers SET blob = '', origin = '' WHERE id = ?", *gone)
        return len(gone)

    def open(self, digest: str, offset: int = 0) -> IO[bytes] | None:
        """The bytes of the blob `digest` from `offset` on if a remote cache has it; None if none is known to. Raises
        `CacheLost`."""
        found = self._layers.origin(digest)
        return self._engine.open_blob(found[1], found[0], offset) if found and "cache" in found[1] else None
