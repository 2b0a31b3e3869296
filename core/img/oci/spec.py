"""Descriptors, manifests, indexes and configurations (OCI image specification 1.1; Docker schema 2 is read too).

A document is parsed from its exact bytes, and written once; what has a digest is never serialised a second time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from img.digest import is_digest
from img.errors import LayerError

Json = Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

NONDISTRIBUTABLE = {
    "application/vnd.oci.image.layer.nondistributable.v1.tar": OCI_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": OCI_LAYER_GZIP,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": OCI_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.foreign.diff.tar": DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": DOCKER_LAYER_GZIP,
}
"""Types of layers that are not pushed, with those of the same bytes that are (layer.md, "Non-Distributable Layers")."""

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)
OCI_TO_DOCKER = {
    OCI_MANIFEST: DOCKER_MANIFEST,
    OCI_INDEX: DOCKER_INDEX,
    OCI_CONFIG: DOCKER_CONFIG,
    OCI_LAYER: DOCKER_LAYER,
    OCI_LAYER_GZIP: DOCKER_LAYER_GZIP,
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    ),
}
DOCKER_TO_OCI = {docker: oci for oci, docker in OCI_TO_DOCKER.items()}
MAX_DOCUMENT = 4 << 20
"""Bytes of the largest manifest or configuration that is read (distribution-spec: registries may stop at 4 MiB)."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is, how long, and its digest (descriptor.md)."""

    media_type: str
    digest: str
    size: int
    platform: Mapping[str, Json] | None = field(default=None)
    annotations: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    artifact_type: str = ""

    def to_json(self) -> dict[str, Json]:
        """As it stands in a manifest, keys in the specification's order."""
        document: dict[str, Json] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.urls:
            document["urls"] = list(self.urls)
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform:
            document["platform"] = dict(self.platform)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        return document

    @property
    def distributable(self) -> bool:
        """Whether it may go to any registry: not a layer that is only to be had where it says."""
        return not self.urls and self.media_type not in NONDISTRIBUTABLE

    @classmethod
    def from_json(cls, document: Json, where: str = "descriptor") -> Descriptor:
        """Raises `LayerError` naming the field that is wrong."""
        if not isinstance(document, dict):
            raise LayerError(f"{where} is not an object")
        media_type, digest, size = (document.get(key) for key in ("mediaType", "digest", "size"))
        if not isinstance(media_type, str):
            raise LayerError(f"{where}.mediaType is not text")
        if not isinstance(digest, str) or not is_digest(digest):
            raise LayerError(f"{where}.digest is not a sha256 digest: {digest!r}")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise LayerError(f"{where}.size is not a size: {size!r}")
        annotations, platform = document.get("annotations") or {}, document.get("platform")
        if not isinstance(annotations, dict) or not isinstance(platform, dict | None):
            raise LayerError(f"{where}.annotations or .platform is not an object")
        urls, kind = document.get("urls") or (), document.get("artifactType")
        return cls(media_type, digest, size, platform, annotations, tuple(urls), kind if isinstance(kind, str) else "")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image's parts (manifest.md)."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, media_type: str = "") -> Manifest:
        """Read the bytes of a manifest. Raises `LayerError`."""
        document = parse_object(data, "manifest")
        layers = document.get("layers")
        if not isinstance(layers, list):
            raise LayerError("manifest.layers is not a list")
        return cls(
            document.get("mediaType") or media_type or OCI_MANIFEST,
            Descriptor.from_json(document.get("config"), "manifest.config"),
            tuple(Descriptor.from_json(layer, f"manifest.layers[{n}]") for n, layer in enumerate(layers)),
            document.get("annotations") or {},
        )


@dataclass(frozen=True, slots=True)
class Index:
    """Manifests of one name, one per platform (image-index.md)."""

    media_type: str
    manifests: tuple[Descriptor, ...]

    @classmethod
    def parse(cls, data: bytes, media_type: str = "") -> Index:
        """Read the bytes of an index. Raises `LayerError`."""
        document = parse_object(data, "index")
        manifests = document.get("manifests")
        if not isinstance(manifests, list):
            raise LayerError("index.manifests is not a list")
        return cls(
            document.get("mediaType") or media_type or OCI_INDEX,
            tuple(Descriptor.from_json(m, f"index.manifests[{n}]") for n, m in enumerate(manifests)),
        )


def parse_object(data: bytes, what: str) -> dict[str, Json]:
    """A JSON object from untrusted bytes. Raises `LayerError`."""
    if len(data) > MAX_DOCUMENT:
        raise LayerError(f"the {what} has {len(data)} bytes, more than the {MAX_DOCUMENT} allowed")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LayerError(f"the {what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise LayerError(f"the {what} is not a JSON object")
    return document


def diff_ids(config: Mapping[str, Json]) -> tuple[str, ...]:
    """The digests of an image's uncompressed layers, bottom up (config.md, rootfs.diff_ids). Raises `LayerError`."""
    rootfs = config.get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(ids, list) or not all(isinstance(id, str) and is_digest(id) for id in ids):
        raise LayerError("config.rootfs.diff_ids is not a list of sha256 digests")
    return tuple(ids)
