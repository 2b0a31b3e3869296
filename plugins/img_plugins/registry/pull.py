"""`img pull`: an image as the registry has it, into the store. Documents and blobs are kept byte for byte, so that the
image's digest is the registry's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from img.errors import Cancelled, CorruptBlob, LayerError, RegistryError
from img.events import Progress
from img.oci.platform import Platform, host_platform, select
from img.oci.reference import Reference
from img.oci.spec import INDEXES, Descriptor, Index, Manifest, diff_ids, parse_object
from img.ports import Host
from img_plugins.registry.client import Document
from img_plugins.registry.reader import Reader
from img_plugins.registry.side_by_side import side_by_side

CHUNK = 1 << 20
TRIES = 3
"""How often a blob is fetched whose bytes are wrong."""
DEPTH = 4
"""Indexes in indexes that are followed."""


class Puller:
    """Pulls one name."""

    def __init__(self, host: Host, reader: Reader, reference: Reference) -> None:
        self._host = host
        self._reader = reader
        self._reference = reference
        self._told: dict[str, float] = {}

    def pull(self, platforms: Sequence[str], every: bool) -> Descriptor:
        """Fetch everything, then let the name stand for it. Nothing is named after an error."""
        document = self._reader.manifest(self._reference.target)
        wanted = [Platform.parse(text) for text in platforms]
        manifests = list(self._manifests(document, wanted, every))
        blobs: dict[str, Descriptor] = {}
        for inner in manifests:
            manifest = Manifest.parse(inner.data, inner.media_type)
            blobs.update({d.digest: d for d in (manifest.config, *manifest.layers)})
        side_by_side(self._blob, [descriptor for descriptor in blobs.values() if not descriptor.urls])
        for inner in manifests:
            self._layers(inner)
        descriptor = Descriptor(document.media_type, document.digest, len(document.data))
        self._host.store.images.set(str(self._reference), descriptor)
        return descriptor

    def _manifests(self, document: Document, wanted: list[Platform], every: bool, depth: int = 0) -> Iterator[Document]:
        """The image manifests to take from a document, which is stored, as those between are."""
        if depth > DEPTH:
            raise LayerError(f"{self._reference.familiar} has indexes in indexes, more than {DEPTH} deep")
        self._host.store.blobs.put(document.data)
        if document.media_type not in INDEXES and b'"manifests"' not in document.data:
            if wanted and depth == 0:
                self._check(document, wanted)
            yield document
            return
        index = Index.parse(document.data, document.media_type)
        chosen = list(index.manifests)
        if not every:
            chosen = [select(chosen, p, self._reference.familiar) for p in wanted or [host_platform()]]
        for descriptor in {d.digest: d for d in chosen}.values():
            inner = self._reader.inner(descriptor.digest)
            yield from self._manifests(inner, wanted, every, depth + 1)

    def _check(self, document: Document, wanted: list[Platform]) -> None:
        """An image without an index has one platform; it must be the one asked for."""
        config = self._reader.small_blob(Manifest.parse(document.data).config)
        has = Platform.of(parse_object(config, "configuration"))
        if has.architecture and wanted != [has]:
            raise RegistryError(
                f"{self._reference.familiar} is for {has}, not for {', '.join(map(str, wanted))}",
                hint=f"leave out --platform, or say --platform {has}",
            )

    def _blob(self, descriptor: Descriptor) -> None:
        blobs = self._host.store.blobs
        for attempt in range(TRIES):
            if self._host.cancelled:
                raise Cancelled
            if blobs.has(descriptor.digest):
                return
            try:
                with self._reader.blob(descriptor) as stream:
                    blobs.write(self._counted(stream, descriptor), descriptor.digest, descriptor.size)
                return
            except CorruptBlob:
                if attempt + 1 == TRIES:
                    raise

    def _counted(self, stream: object, descriptor: Descriptor) -> Iterator[bytes]:
        done = 0
        while data := stream.read(CHUNK):  # type: ignore[attr-defined]
            done += len(data)
            now = time.monotonic()
            if done == descriptor.size or now - self._told.get(descriptor.digest, 0.0) > 0.1:
                self._told[descriptor.digest] = now
                self._host.emit(Progress("", descriptor.digest, "pulling", done, descriptor.size, now))
            yield data

    def _layers(self, document: Document) -> None:
        """Make the layers known to the store, if it is an image whose configuration names them."""
        manifest = Manifest.parse(document.data, document.media_type)
        try:
            ids = diff_ids(parse_object(self._host.store.blobs.read(manifest.config.digest), "configuration"))
        except LayerError:
            return  # an artifact, not an image
        if len(ids) != len(manifest.layers):
            raise LayerError(
                f"{self._reference} has {len(manifest.layers)} layers, but its configuration names {len(ids)}"
            )
        origin = {"scheme": "docker-image", "ref": str(self._reference.at(document.digest))}
        for id, descriptor in zip(ids, manifest.layers, strict=True):
            self._host.store.layers.add_remote(id, descriptor, origin)
