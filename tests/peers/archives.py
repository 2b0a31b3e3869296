"""Archives of images written by hand, good and hostile."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from typing import Any

from tests.peers.bases import tar

Members = list[tuple[str, Any]]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(layers: Sequence[bytes], **more: Any) -> bytes:
    """A configuration for uncompressed layers."""
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
            **more,
        }
    ).encode()


def legacy(layers: Sequence[bytes], tags: Sequence[str] = ("old:1",), pack: Any = bytes, **changed: Any) -> Members:
    """What docker save wrote before version 25: layer.tar in a folder each, the configuration, manifest.json last."""
    members: Members = []
    paths = []
    for layer in layers:
        path = f"{digest(layer + b'id')}/layer.tar"
        members.append((path, pack(layer)))
        paths.append(path)
    document = changed.pop("config", None) or config(layers)
    members.append((f"{digest(document)}.json", document))
    row = {"Config": f"{digest(document)}.json", "RepoTags": list(tags), "Layers": paths, **changed}
    return [*members, ("manifest.json", json.dumps([row]).encode())]


def layout(layers: Sequence[bytes], name: str = "docker.io/library/lay:1") -> Members:
    """An OCI layout's files."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict[str, Any]:
        blobs[digest(data)] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest(data)}", "size": len(data)}

    packed = [put(gzip.compress(layer, mtime=0), "layer.v1.tar+gzip") for layer in layers]
    manifest = {"schemaVersion": 2, "config": put(config(layers), "config.v1+json"), "layers": packed}
    entry = put(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1"}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    files: Members = [(f"blobs/sha256/{name}", data) for name, data in blobs.items()]
    return [*files, ("index.json", index), ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')]


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[str, tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def archive(members: Members) -> bytes:
    return tar(members)


def stream(data: bytes, size: int = 65_537) -> list[bytes]:
    """In pieces."""
    source = io.BytesIO(data)
    return list(iter(lambda: source.read(size), b""))
