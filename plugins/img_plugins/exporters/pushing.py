"""An image of the store into a registry: what the registry has is left, what it has elsewhere is mounted, what only
another registry has is streamed through, and the rest is uploaded. Manifests follow what they name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from img.errors import Cancelled, NotFound, StoreError
from img.events import Progress
from img.oci.reference import Reference
from img.oci.spec import INDEXES, Descriptor, Index, Manifest
from img.ports import Host
from img_plugins.registry.side_by_side import side_by_side
from img_plugins.registry.upload import Uploader

CHUNK = 1 << 20
SILENCE = 0.1
"""Seconds between two progress events of one blob."""


class Push:
    """One push."""

    def __init__(self, host: Host, reference: Reference, insecure: bool = False) -> None:
        """With `insecure`, plain HTTP or any certificate will do, whatever the configuration says."""
        self._host = host
        self._store = host.store
        self._reference = reference
        self._registries: Any = host.load("registry", "distribution")
        self._uploader = Uploader(self._registries.writer(reference, insecure))
        self._told: dict[str, float] = {}

    def tree(self, descriptor: Descriptor, target: str, before: Callable[[], None] = lambda: None) -> None:
        """Push a manifest or an index with all that is below it; `before` is called when only itself is left.

        Raises `RegistryError`, `CorruptBlob`, `StoreError` if the store has it only in part."""
        data = self._document(descriptor)
        if descriptor.media_type in INDEXES or b'"manifests"' in data:
            for inner in Index.parse(data, descriptor.media_type).manifests:
                self.tree(inner, inner.digest)
        else:
            manifest = Manifest.parse(data, descriptor.media_type)
            unique = {d.digest: d for d in (*manifest.layers, manifest.config) if d.distributable}
            side_by_side(self._blob, unique.values())
        before()
        self._uploader.manifest(target, descriptor.media_type, data)

    def _document(self, descriptor: Descriptor) -> bytes:
        if not self._store.blobs.has(descriptor.digest):
            platform = (descriptor.platform or {}).get("architecture", "another platform")
            raise StoreError(
                f"the store does not have all of {self._reference.familiar}: {descriptor.digest} ({platform}) is missing",
                hint="img pull --all-platforms fetches every platform of an image",
            )
        return self._store.blobs.read(descriptor.digest)

    def _blob(self, descriptor: Descriptor) -> None:
        if self._host.cancelled:
            raise Cancelled
        digest, reference = descriptor.digest, self._reference
        if not self._uploader.has_blob(digest):
            self._uploader.blob(descriptor, lambda at, n: self._pour(descriptor, at, n), self._mount(digest))
        self._store.places.set(f"{reference.registry} {digest}", reference.repository)

    def _mount(self, digest: str) -> str:
        """The repository of the same registry that the blob came from, or went to before; empty if none is known."""
        found = self._store.layers.origin(digest)
        if found is not None and "ref" in found[1]:
            source = Reference.parse(found[1]["ref"])
            if source.registry == self._reference.registry:
                return source.repository
        return self._store.places.get(f"{self._reference.registry} {digest}") or ""

    def _pour(self, descriptor: Descriptor, offset: int, length: int) -> Iterator[bytes]:
        """Bytes of a blob: from the store (as a whole they are verified as they leave), else from where it came."""
        if not self._store.blobs.has(descriptor.digest):
            chunks = self._remote(descriptor, offset)
        elif offset == 0 and length == descriptor.size:
            chunks = self._store.blobs.chunks(descriptor.digest)
        else:
            chunks = self._part(descriptor.digest, offset)
        done, left = offset, length
        for data in chunks:
            if self._host.cancelled:
                raise Cancelled
            piece = data[:left]
            done, left = done + len(piece), left - len(piece)
            self._tell(descriptor, done)
            yield piece
            if not left and length != descriptor.size:
                return

    def _part(self, digest: str, offset: int) -> Iterator[bytes]:
        with self._store.blobs.open(digest) as stream:
            stream.seek(offset)
            while data := stream.read(CHUNK):
                yield data

    def _remote(self, descriptor: Descriptor, offset: int) -> Iterator[bytes]:
        found = self._store.layers.origin(descriptor.digest)
        if (cached := self._store.cached.open(descriptor.digest, offset)) is not None:
            with cached:
                while data := cached.read(CHUNK):
                    yield data
            return
        if found is None or "ref" not in found[1]:
            raise StoreError(f"the store has no blob {descriptor.digest}", hint="pull or build the image again")
        try:
            with self._registries.reader(Reference.parse(found[1]["ref"])).blob(descriptor, offset) as stream:
                while data := stream.read(CHUNK):
                    yield data
        except NotFound as error:
            if not found[0].distributable:
                error.hint = "its image says that it is to be had elsewhere: prefer-nondist-layers=true leaves it there"
            raise

    def _tell(self, descriptor: Descriptor, done: int) -> None:
        now = time.monotonic()
        if done == descriptor.size or now - self._told.get(descriptor.digest, 0.0) > SILENCE:
            self._told[descriptor.digest] = now
            self._host.emit(Progress("", descriptor.digest, "pushing", done, descriptor.size, now))
