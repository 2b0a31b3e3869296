"""``img load``: images of an archive or a layout into the store.

A layout's images keep their digests. Docker's older archives have no manifests, so those get one: compressed layers stay as
they are, plain ones are packed with the default gzip. Everything is checked, diff ids too, before a name is set.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from img.errors import CorruptBlob, LayerError, StoreError
from img.images.archive import Archive, Member, chunks_of, rows_of, spool
from img.images.provider import Found, Provider, verified
from img.images.stored import Stored, ingest, set_names
from img.oci.closure import images
from img.oci.compress import Hashing, decompressed, gzip_chunks, sniff
from img.oci.layout import Named, file_chunks, named, read_index
from img.oci.mutate import encode
from img.oci.reference import Reference
from img.oci.spec import (
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    diff_ids,
    parse_object,
)
from img.oci.validate import validate
from img.ports import Host


class Layout:
    """A layout's folder as a `Provider`."""

    def __init__(self, root: Path) -> None:
        self.where = f"the layout {root}"
        self.root = root

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        return file_chunks(self.root, descriptor)

    def images(self) -> list[Named]:
        """Everything that ``index.json`` names. Raises `LayerError`."""
        return named(read_index(self.root))


def load(host: Host, source: Path | Iterable[bytes], where: str = "standard input") -> list[Named]:
    """Load every image of a layout's folder, an archive file, or the bytes of an archive; returns them with their names.

    Raises `LayerError`, `CorruptBlob`. After an error no name has changed.
    """
    if isinstance(source, Path) and source.is_dir():
        layout = Layout(source)
        return _keep(host, layout, layout.images())
    folder = host.store.scratch()
    try:
        archive = open_archive(source, where, folder)
        return _keep(host, Backed(host, archive), images_of(host, archive))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_archive(source: Path | Iterable[bytes], where: str, folder: Path) -> Archive:
    """Spool an archive into `folder`. Raises `LayerError`."""
    if not isinstance(source, Path):
        return spool(where, source, folder)
    try:
        stream = source.open("rb")
    except OSError as error:
        raise LayerError(
            f"can't read {source}: {error.strerror}", hint="give a file, a layout's folder, or -"
        ) from error
    with stream:
        return spool(f"the archive {source}", iter(lambda: stream.read(1 << 20), b""), folder)


def images_of(host: Host, archive: Archive) -> list[Named]:
    """The images of an archive. Those of docker's older archives are given manifests, in the store."""
    rows = rows_of(archive) if archive.has("manifest.json") else []
    if archive.has("index.json"):
        found = named(parse_index(archive))
        return [_with_tags(one, rows, archive) for one in found]
    if not rows:
        raise LayerError(
            f"{archive.where} has neither manifest.json nor index.json", hint="give what docker save or img save wrote"
        )
    return [_docker(host, archive, row) for row in rows]


def parse_index(archive: Archive) -> list[dict[str, object]]:
    """The entries of an archive's ``index.json``. Raises `LayerError`."""
    entries = parse_object(archive.document("index.json"), "index.json").get("manifests")
    if not isinstance(entries, list):
        raise LayerError(f"{archive.where}: index.json has no list of manifests")
    return entries


def _with_tags(image: Named, rows: Iterable[dict[str, Any]], archive: Archive) -> Named:
    """With the names that docker's ``manifest.json`` has for the same configuration."""
    if image.names:
        return image
    found = Found(archive, image)
    configs = {one.manifest.config.digest for one in images(image.descriptor, found.read)}
    tags = [tag for row in rows for tag in row.get("RepoTags") or [] if _digest_in(row["Config"]) in configs]
    return image._replace(names=tuple(map(Reference.parse, tags)))


def _digest_in(path: str) -> str:
    return "sha256:" + posixpath.basename(path).removesuffix(".json")


def _docker(host: Host, archive: Archive, row: dict[str, Any]) -> Named:
    """An image of an older docker archive, with a manifest made for it. Its blobs go to the store."""
    config = archive.document(row["Config"], "manifest.json")
    ids = diff_ids(parse_object(config, "configuration"))
    if len(ids) != len(row["Layers"]):
        raise LayerError(f"{archive.where}: an image has {len(row['Layers'])} layers, its configuration {len(ids)}")
    layers = [
        _layer(host, archive.member(path, "manifest.json"), id, archive.where)
        for path, id in zip(row["Layers"], ids, strict=True)
    ]
    kept = Descriptor(OCI_CONFIG, host.store.blobs.put(config), len(config))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": kept.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    manifest = encode(document, indent=2)
    descriptor = Descriptor(OCI_MANIFEST, host.store.blobs.put(manifest), len(manifest))
    return Named(descriptor, tuple(map(Reference.parse, row.get("RepoTags") or [])))


def _layer(host: Host, member: Member, diff_id: str, where: str) -> Descriptor:
    blobs = host.store.blobs
    with member.path.open("rb") as stream:
        kind = sniff(stream.read(6))
    plain = Hashing(decompressed(chunks_of(member)))
    if kind in ("gzip", "zstd"):
        for _ in plain:
            pass
        media_type = OCI_LAYER_GZIP if kind == "gzip" else OCI_LAYER_ZSTD
    else:
        media_type = OCI_LAYER_GZIP
        digest, size = blobs.write(gzip_chunks(plain))
    if plain.digest != diff_id:
        raise CorruptBlob(f"{where}: a layer unpacks to {plain.digest}, its configuration says {diff_id}")
    if kind in ("gzip", "zstd"):
        digest, size = blobs.write(chunks_of(member), member.digest, member.size)
    return Descriptor(media_type, digest, size)


class Backed:
    """A place whose blobs that are not there may be in the store: the manifests that were made for its images."""

    def __init__(self, host: Host, archive: Archive) -> None:
        self.where = archive.where
        self._archive = archive
        self._store = Stored(host)

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        if self._archive.holds(descriptor.digest):
            return self._archive.chunks(descriptor)
        try:
            return self._store.chunks(descriptor)
        except StoreError:
            return self._archive.chunks(descriptor)


def _keep(host: Host, provider: Provider, found: list[Named]) -> list[Named]:
    """Check every image, take it in, and only then name them all."""
    if not found:
        raise LayerError(f"{provider.where} has no images")
    for image in found:
        here = Found(provider, image)
        for one in here.images():
            validate(one.manifest, lambda part: verified(provider.chunks(part), part, provider.where))
        ingest(host, here, image.descriptor)
    for image in found:
        set_names(host, image.names, image.descriptor)
    return found
