"""A cache as an OCI image that any registry takes: a manifest with a true configuration, whose first layer is a tar with
the index (``cache.json``), and whose other layers are the cached ones with their own media types."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from typing import Any

from img.digest import sha256
from img.errors import LayerError
from img.files.entry import Entry
from img.oci.compress import Hashing, decompressed, gzip_chunks
from img.oci.mutate import Image, assemble
from img.oci.platform import host_platform
from img.oci.spec import OCI_LAYER_GZIP, Descriptor, Manifest, parse_object
from img.oci.tar import TarWriter
from img.solver.inline import index_document
from img.store.forms import LayerBlob

MARK = "img.cache.index"
"""The annotation of the layer that is the index."""
NAME = "cache.json"
LARGEST = 64 << 20
"""Bytes of the largest index that is read, packed or not."""

Blob = Callable[[Descriptor], bytes]
"""Gives a blob's bytes, verified."""

BUILDKIT = "application/vnd.buildkit.cacheconfig.v0"
BUILDKIT_INLINE = "moby.buildkit.cache.v0"
"""The type of BuildKit's cache, and the key in a configuration that carries one (docs/decisions/0027)."""


def checked(data: bytes) -> bytes:
    """The document of a cache, an image or an index, as it is. Raises `LayerError` with plain words if it is BuildKit's."""
    document = parse_object(data, "cache")
    parts = [document.get("config"), *(document.get("manifests") or ())]
    if any(isinstance(part, dict) and part.get("mediaType") == BUILDKIT for part in parts) or "records" in document:
        raise _of_buildkit()
    return data


def _of_buildkit() -> LayerError:
    return LayerError(
        "it was written by BuildKit, whose records say nothing about img's steps: give img a name of its own with --cache-to"
    )


def pack(document: bytes) -> tuple[Descriptor, str, bytes]:
    """The layer with the index: descriptor, diff id, bytes."""
    tar = io.BytesIO()
    writer = TarWriter(tar.write)
    writer.add(Entry(NAME, "file", 0o644, size=len(document)), [document])
    writer.close()
    plain = Hashing([tar.getvalue()])
    data = b"".join(gzip_chunks(plain))
    descriptor = Descriptor(OCI_LAYER_GZIP, sha256(data), len(data), None, {MARK: "1"})
    return descriptor, plain.digest, data


def manifest_of(index: tuple[Descriptor, str], blobs: Sequence[LayerBlob]) -> Image:
    """The image that is the cache: the same index and blobs give the same bytes."""
    platform = host_platform()
    config = {"architecture": platform.architecture, "os": platform.os, "config": {}}
    layers = [index[0], *(blob.descriptor for blob in blobs)]
    return assemble(config, layers, [index[1], *(blob.diff_id for blob in blobs)], [], annotations={MARK: "1"})


def index_of(manifest: Manifest, blob: Blob) -> Any:
    """The document of a cache, or that of an image that carries its own; None if it is an image without. Raises
    `LayerError`, and what `blob` raises."""
    first = manifest.layers[0] if manifest.layers else None
    if first is None or first.annotations.get(MARK) != "1":
        config = parse_object(blob(manifest.config), "configuration")
        found = index_document(manifest, config)
        if found is None and BUILDKIT_INLINE in config:
            raise _of_buildkit()
        return found
    if first.size > LARGEST:
        raise LayerError(f"the cache's index has {first.size} bytes, more than the {LARGEST} allowed")
    return unpack(blob(first))


def unpack(data: bytes) -> Any:
    """The document in the layer with the index. Raises `LayerError`."""
    plain = bytearray()
    for piece in decompressed([data]):
        plain += piece
        if len(plain) > LARGEST:
            raise LayerError(f"the cache's index has more than the {LARGEST} bytes allowed")
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            member = archive.extractfile(NAME)
            text = member.read() if member is not None else b""
    except (tarfile.TarError, KeyError) as error:
        raise LayerError(f"the cache's index is no tar with {NAME}") from error
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LayerError(f"the cache's index is not JSON: {error}") from error
