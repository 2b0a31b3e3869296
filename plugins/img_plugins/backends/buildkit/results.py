"""What a daemon made comes back: layers of an archive into the store.

Only the layers that the store does not know are taken. Nothing that the daemon says is believed: a layer goes by the digest
of what it unpacks to.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence

from img.errors import CorruptBlob, LayerError
from img.images.archive import Archive, Member, chunks_of, rows_of, spool
from img.images.load import parse_index
from img.oci.compress import Hashing, decompressed, gzip_chunks, sniff
from img.oci.layout import named
from img.oci.spec import (
    INDEXES,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    diff_ids,
    parse_object,
)
from img.ports import Host, Snapshot

TYPES = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}


def take(host: Host, where: str, chunks: Iterable[bytes]) -> Snapshot:
    """The filesystem of the one image in an archive: a layout's, or docker's. Raises `LayerError`, `CorruptBlob`."""
    folder = host.store.scratch()
    try:
        archive = spool(where, chunks, folder)
        layers = _of_layout(archive) if archive.has("index.json") else _of_docker(archive)
        return Snapshot(tuple(_layer(host, archive, id, member) for id, member in layers))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sent(host: Host, where: str, digest: str) -> Snapshot:
    """The filesystem of the image or of an index's only one with this digest, whose blobs have come into the store but for
    those that it knew. Raises `LayerError`, `CorruptBlob`, `StoreError`."""
    blobs = host.store.blobs
    data = blobs.read(digest)
    if "manifests" in parse_object(data, where):
        data = blobs.read(_only(where, data).digest)
    manifest = Manifest.parse(data, OCI_MANIFEST)
    ids = diff_ids(parse_object(blobs.read(manifest.config.digest), "configuration"))
    if len(ids) != len(manifest.layers):
        raise LayerError(f"{where}: an image has {len(manifest.layers)} layers, its configuration {len(ids)}")
    return Snapshot(tuple(_known(host, where, id, one) for id, one in zip(ids, manifest.layers, strict=True)))


def _known(host: Host, where: str, diff_id: str, descriptor: Descriptor) -> str:
    layers = host.store.layers
    if layers.available(diff_id):
        return diff_id
    layers.fetch([id for id in [layers.holder(descriptor.digest)] if id is not None])
    plain = Hashing(decompressed(host.store.blobs.chunks(descriptor.digest), descriptor.media_type))
    for _ in plain:
        pass
    _same(where, plain.digest, diff_id)
    return layers.add_blob(diff_id, descriptor)


def _only(where: str, data: bytes) -> Descriptor:
    """The one image of an index; what is attached to it is none."""
    inner = [one for one in Index.parse(data).manifests if (one.platform or {}).get("os") != "unknown"]
    if len(inner) != 1:
        raise LayerError(f"{where} has {len(inner)} images where one was asked for")
    return inner[0]


def _of_layout(archive: Archive) -> list[tuple[str, Member]]:
    """Diff id and file of each layer."""
    (image, *_) = named(parse_index(archive))
    data = archive.document(_path(image.descriptor.digest), "index.json")
    if image.descriptor.media_type in INDEXES:
        data = archive.document(_path(_only(archive.where, data).digest), "an index")
    manifest = Manifest.parse(data, OCI_MANIFEST)
    ids = diff_ids(parse_object(archive.document(_path(manifest.config.digest), "a manifest"), "configuration"))
    return _paired(archive, ids, [archive.member(_path(layer.digest), "a manifest") for layer in manifest.layers])


def _of_docker(archive: Archive) -> list[tuple[str, Member]]:
    (row, *_) = rows_of(archive)
    ids = diff_ids(parse_object(archive.document(row["Config"], "manifest.json"), "configuration"))
    return _paired(archive, ids, [archive.member(name, "manifest.json") for name in row["Layers"]])


def _paired(archive: Archive, ids: Sequence[str], members: Sequence[Member]) -> list[tuple[str, Member]]:
    if len(ids) != len(members):
        raise LayerError(f"{archive.where}: an image has {len(members)} layers, its configuration {len(ids)}")
    return list(zip(ids, members, strict=True))


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _layer(host: Host, archive: Archive, diff_id: str, member: Member) -> str:
    """Have the store know a layer; returns its id there."""
    layers, blobs = host.store.layers, host.store.blobs
    if layers.available(diff_id):
        return diff_id
    with member.path.open("rb") as stream:
        kind = sniff(stream.read(6))
    plain = Hashing(decompressed(chunks_of(member)))
    if kind in TYPES:
        for _ in plain:
            pass
        _same(archive.where, plain.digest, diff_id)
        digest, size = blobs.write(chunks_of(member), member.digest, member.size)
    else:
        digest, size = blobs.write(gzip_chunks(plain))
        _same(archive.where, plain.digest, diff_id)
    return layers.add_blob(diff_id, Descriptor(TYPES.get(kind, OCI_LAYER_GZIP), digest, size))


def _same(where: str, found: str, promised: str) -> None:
    if found != promised:
        raise CorruptBlob(f"{where}: a layer unpacks to {found}, its configuration says {promised}")
