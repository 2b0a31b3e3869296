"""Blobs of a layer in other forms than the one it has: other compressions and levels, eStargz, clamped times.

A layer's own blob is the one it was pulled with, or the default gzip. Each other form is made from the same tar, once, and
remembered under the layer and the form's name, so that no form ever stands in for another. Forgetting one costs time only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from img.digest import digest_of
from img.errors import CorruptBlob
from img.oci.packing import KINDS, Packing, packed
from img.oci.spec import DOCKER_TO_OCI, Descriptor
from img.store.blobs import Blobs
from img.store.forms import LayerBlob
from img.store.layers import Layers
from img.store.memory import Memory

DEFAULT = Packing()


class Variants:
    """Safe from several threads and processes: two that make one form at once make the same bytes."""

    def __init__(self, layers: Layers, blobs: Blobs, memory: Memory) -> None:
        self._layers = layers
        self._blobs = blobs
        self._memory = memory

    def blob(self, group: Sequence[str], packing: Packing) -> LayerBlob:
        """One layer, or a group of layers as one, in the form `packing`. Made if the store has none.

        Raises `CorruptBlob` if a pulled layer does not unpack to what its image said, and `StoreError`.
        """
        if packing == DEFAULT:
            own = self._layers.blob(group)
            if _is_gzip(own.descriptor):
                return own
        key = f"{digest_of(list(group))} {packing}"
        if (text := self._memory.get(key)) is not None:
            row = json.loads(text)
            found = LayerBlob(Descriptor.from_json(row["blob"]), row["diff_id"])
            if self._blobs.has(found.descriptor.digest):
                return found
        made = self._make(group, packing)
        self._memory.set(key, json.dumps({"blob": made.descriptor.to_json(), "diff_id": made.diff_id}))
        return made

    def _make(self, group: Sequence[str], packing: Packing) -> LayerBlob:
        from img.oci.compress import Hashing
        from img.oci.retell import clamped

        source = Hashing(self._layers.plain(group))
        plain: Iterable[bytes] = source if packing.epoch is None else clamped(source, packing.epoch)
        if packing.kind == "estargz":
            made = self._estargz(plain, packing)
        else:
            told = Hashing(plain)
            digest, size = self._blobs.write(packed(told, packing))
            made = LayerBlob(Descriptor(packing.media_type, digest, size), told.digest)
        for _ in source:
            pass  # what follows the end of the archive belongs to the diff id
        known = self._layers.get(group[0]) if len(group) == 1 else None
        if known is not None and known.origin is not None and known.diff_id != source.digest:
            self._blobs.remove(made.descriptor.digest)
            raise CorruptBlob(
                f"a layer of the image unpacks to {source.digest}, its image says {known.diff_id}",
                hint="the image is broken: push it again, or use another",
            )
        return made

    def _estargz(self, plain: Iterable[bytes], packing: Packing) -> LayerBlob:
        from img.oci.estargz import Estargz

        told = Estargz(plain, level=packing.level)
        digest, size = self._blobs.write(told)
        descriptor = Descriptor(packing.media_type, digest, size, None, told.annotations)
        return LayerBlob(descriptor, told.diff_id)


def _is_gzip(descriptor: Descriptor) -> bool:
    return DOCKER_TO_OCI.get(descriptor.media_type, descriptor.media_type) == KINDS["gzip"]


def kind_of(descriptor: Descriptor) -> str:
    """The kind of compression that a layer's media type states (`img.oci.packing.KINDS`), empty if it is another. An
    eStargz layer is told by its annotation."""
    from img.oci.estargz import TOC_DIGEST

    media_type = DOCKER_TO_OCI.get(descriptor.media_type, descriptor.media_type)
    if TOC_DIGEST in descriptor.annotations:
        return "estargz"
    return next((kind for kind, known in KINDS.items() if known == media_type), "")
