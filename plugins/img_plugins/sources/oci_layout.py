"""``oci-layout``: an image of an OCI layout on this machine, a folder or a tar.

Written ``PATH[:TAG][@DIGEST]``. A tag is the annotation ``org.opencontainers.image.ref.name`` in the layout's index.
With neither, the layout's only image is meant, else the one tagged ``latest``. In a graph `ref` is ``PATH@DIGEST`` of
one manifest. Layers stay in the layout until somebody needs them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import IO

from img.digest import is_digest
from img.errors import SourceError, UsageError
from img.ir.nodes import Source
from img.oci.platform import Platform, select
from img.oci.spec import INDEXES, MAX_DOCUMENT, Descriptor, Index, Manifest, parse_object
from img.ports import BaseImage, Host, Pin, Snapshot
from img_plugins.sources import images
from img_plugins.sources.layout import Layout, open_layout, pieces, skip

REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"


class OciLayoutSource:
    """See `img.ports.ImageSource`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._layouts: dict[str, Layout] = {}

    def resolve(self, ref: str, platform: str) -> BaseImage:
        """Pin `ref` for `platform`, and take its manifest and configuration into the store. Raises `SourceError`,
        `UsageError`, `LayerError` for documents that are wrong."""
        path, tag, digest = parse(ref)
        layout = open_layout(self._host, path)
        self._layouts[path] = layout
        descriptor = self._chosen(layout, path, tag, digest)
        for _ in range(4):
            data = self._document(layout, descriptor)
            if descriptor.media_type not in INDEXES and "manifests" not in parse_object(data, f"manifest of {ref}"):
                break
            descriptor = select(Index.parse(data).manifests, Platform.parse(platform), ref)
        manifest = Manifest.parse(data, descriptor.media_type)
        self._document(layout, manifest.config)
        _, config = images.documents(self._host.store, descriptor.digest, ref)
        images.checked(config, ref)
        source = Source("oci-layout", f"{path}@{descriptor.digest}", (("platform", platform),))
        return BaseImage(source, config, len(manifest.layers))

    def pin(self, source: Source) -> Pin:
        """The manifest's digest, which the reference carries."""
        return Pin(parse(source.ref)[2], source.ref)

    def fetch(self, source: Source) -> Snapshot:
        """The image's layers, made known to the store; their bytes stay where they are."""
        path, _, digest = parse(source.ref)
        if not self._host.store.blobs.has(digest):
            self.resolve(source.ref, dict(source.attrs)["platform"])
        manifest, config = images.documents(self._host.store, digest, source.ref)
        origin = {"scheme": "oci-layout", "ref": source.ref, "path": path}
        return images.layers_of(self._host.store, manifest, config, origin, source.ref)

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """A layer's bytes from the layout."""
        path = origin["path"]
        if path not in self._layouts:
            self._layouts[path] = open_layout(self._host, path)
        stream = self._layouts[path].open(_blob(descriptor.digest))
        skip(stream, offset)
        return stream

    # --- the layout's index ---------------------------------------------------------------------------------------

    def _chosen(self, layout: Layout, path: str, tag: str, digest: str) -> Descriptor:
        with layout.open("index.json") as stream:
            manifests = Index.parse(stream.read(MAX_DOCUMENT + 1)).manifests
        if digest:
            known = [item for item in manifests if item.digest == digest]
            with layout.open(_blob(digest)) as stream:
                size = len(stream.read(MAX_DOCUMENT + 1))
            return known[0] if known else Descriptor("", digest, size)
        named = [item for item in manifests if _named(item, tag or "latest")]
        if named:
            return named[0]
        if not tag and len(manifests) == 1:
            return manifests[0]
        tags = sorted(filter(None, (item.annotations.get(REF_NAME, "") for item in manifests)))
        what = f"no image tagged {tag!r}" if tag else f"{len(manifests)} images, and none is tagged latest"
        raise SourceError(
            f"the OCI layout {path} has {what}", hint=f"its tags: {', '.join(tags) or 'none'}; or name a digest"
        )

    def _document(self, layout: Layout, descriptor: Descriptor) -> bytes:
        """A manifest, index or configuration, verified, and now also in the store."""
        blobs = self._host.store.blobs
        if not blobs.has(descriptor.digest):
            with layout.open(_blob(descriptor.digest)) as stream:
                blobs.write(pieces(stream), descriptor.digest, min(descriptor.size, MAX_DOCUMENT))
        return blobs.read(descriptor.digest)


def parse(ref: str) -> tuple[str, str, str]:
    """Absolute path, tag and digest (either may be empty). Raises `UsageError`."""
    rest, at, digest = ref.rpartition("@")
    if not at or not digest.startswith("sha256:"):
        rest, digest = ref, ""
    if digest and not is_digest(digest):
        raise UsageError(f"{digest!r} is not a sha256 digest", hint="oci-layout://PATH[:TAG][@DIGEST]")
    head, colon, tail = rest.rpartition(":")
    path, tag = (head, tail) if colon and "/" not in tail and not os.path.exists(rest) else (rest, "")
    if not path:
        raise UsageError(f"{ref!r} names no OCI layout", hint="oci-layout://PATH[:TAG][@DIGEST]")
    return os.path.abspath(path), tag, digest


def _named(item: Descriptor, tag: str) -> bool:
    names: Sequence[str] = (item.annotations.get(REF_NAME, ""), item.annotations.get(FULL_NAME, ""))
    return any(name == tag or name.endswith(f":{tag}") for name in names)


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
