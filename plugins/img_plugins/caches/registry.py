"""``type=registry``: a cache under a name of a registry. Attributes: ``ref``, ``registry.insecure``, and of a
written one those of every cache.

What is read may be a cache, an image that carries its own (``type=inline``), or an index of such images.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

from img.digest import sha256
from img.errors import CacheMoved, CorruptBlob, NotFound
from img.oci.reference import Reference
from img.oci.spec import INDEXES, Descriptor, Index, Manifest
from img.ports import CacheFound, Host
from img.solver.watched import deadline
from img.store.forms import LayerBlob
from img_plugins.caches.artifact import LARGEST, checked, index_of, manifest_of, pack
from img_plugins.caches.attrs import check_attrs
from img_plugins.exporters.forms import flag
from img_plugins.registry.access import Registries
from img_plugins.registry.network import Network, Patience
from img_plugins.registry.side_by_side import side_by_side

HASTE = Patience(tries=2, pause=0.1)
"""A cache is not worth the patience that an image is worth."""
QUESTIONS = 16
"""Blobs that are asked for at one time: questions are short, so it is the way there and back that counts."""
SETTLED = 0.3
"""Seconds after which a tag that somebody else wrote at the same time has been written."""
PLATFORMS = 16
"""Images of an index that are looked into."""


class RegistryCache:
    """See `img.ports.CachePlugin`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._hasty: Registries | None = None
        self._lock = threading.Lock()

    def check(self, attrs: Mapping[str, str], writes: bool) -> None:
        check_attrs(attrs, "registry", writes, ("ref", "registry.insecure"), "ref")
        flag(attrs, "registry.insecure")
        Reference.parse(attrs["ref"])

    def load(self, attrs: Mapping[str, str]) -> Sequence[CacheFound]:
        """The cache, or those of an image's platforms."""
        reference, insecure = Reference.parse(attrs["ref"]), flag(attrs, "registry.insecure")
        reader = self._registries().reader(reference, insecure)
        try:
            found = reader.manifest(reference.target)
        except NotFound:
            return []
        checked(found.data)
        documents = [found]
        if found.media_type in INDEXES or b'"manifests"' in found.data[:4096]:
            inner = Index.parse(found.data, found.media_type).manifests[:PLATFORMS]
            documents = [reader.inner(one.digest) for one in inner]
        origin = {"ref": str(reference), **({"insecure": "true"} if insecure else {})}
        read = [index_of(Manifest.parse(one.data, one.media_type), lambda b: _small(reader, b)) for one in documents]
        return [CacheFound(document, origin, found.digest) for document in read if document is not None]

    def missing(self, origin: Mapping[str, str], blobs: Sequence[Descriptor]) -> frozenset[str]:
        """Asked for side by side: the protocol has no question about several."""
        client = self._registries().writer(Reference.parse(origin["ref"]), "insecure" in origin)
        gone: set[str] = set()

        def ask(blob: Descriptor) -> None:
            if not client.has_blob(blob.digest):
                gone.add(blob.digest)

        side_by_side(ask, blobs, QUESTIONS)
        return frozenset(gone)

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        reader = self._registries().reader(Reference.parse(origin["ref"]), "insecure" in origin)
        return cast(IO[bytes], reader.blob(descriptor, offset))

    def save(
        self, attrs: Mapping[str, str], document: bytes, blobs: Sequence[LayerBlob], mark: str | None = None
    ) -> str:
        """Pushed as an image is: blobs that are there are skipped, those that are elsewhere in the registry mounted.
        Registries can't compare and swap: with `mark` the tag is looked at right before and a moment after."""
        from img_plugins.exporters.pushing import Push

        reference, insecure = Reference.parse(attrs["ref"]), flag(attrs, "registry.insecure")
        store = self._host.store
        descriptor, diff_id, data = pack(document)
        image = manifest_of((descriptor, diff_id), blobs)
        kept = [store.blobs.put(one) for one in (data, image.config, image.manifest)]
        try:
            look = (lambda: None) if mark is None else (lambda: self._stands(reference, mark, insecure))
            Push(self._host, reference, insecure).tree(image.descriptor, reference.target, look)
            if mark is not None:
                time.sleep(SETTLED * random.uniform(1, 2))
                self._stands(reference, image.descriptor.digest, insecure)
        finally:
            for digest in kept:
                store.blobs.remove(digest)
        return f"{reference.familiar} {image.descriptor.digest}"

    def _stands(self, reference: Reference, digest: str, insecure: bool) -> None:
        """Raises `CacheMoved` if the tag stands for something else than `digest` (empty: for nothing)."""
        try:
            registries = self._host.load("registry", "distribution")
            found = registries.writer(reference, insecure).manifest(reference.target).digest
        except NotFound:
            found = ""
        if found != digest:
            raise CacheMoved(f"{reference.familiar} was written by somebody else meanwhile")

    def _registries(self) -> Registries:
        """Registries that are asked in haste."""
        with self._lock:
            if self._hasty is None:
                self._hasty = Registries(self._host)
                self._hasty.network = Network(
                    self._host.settings, lambda: self._host.cancelled, HASTE, deadline(self._host.settings)
                )
            return self._hasty


def _small(reader: Any, descriptor: Descriptor) -> bytes:
    """A blob of a bounded size, verified."""
    with reader.blob(descriptor) as stream:
        data: bytes = stream.read(LARGEST + 1)
    if sha256(data) != descriptor.digest:
        raise CorruptBlob(f"the cache's {descriptor.digest} has other bytes")
    return data
