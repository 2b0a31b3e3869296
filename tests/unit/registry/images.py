"""Images made up for tests, in a store."""

from __future__ import annotations

import json
import random
from typing import Any

from img.digest import sha256
from img.oci.mutate import encode
from img.oci.spec import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from img.store.store import Store


def put(store: Store, media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, store.blobs.put(data), len(data))


def image(store: Store, seed: int, sizes: tuple[int, ...] = (5, 3000), **more: Any) -> Descriptor:
    """An image with layers of random bytes (that are no tars: nobody unpacks them)."""
    chance = random.Random(seed)
    layers = [chance.randbytes(size) for size in sizes]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        "history": [],
    }
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": put(store, OCI_CONFIG, json.dumps(config).encode()).to_json(),
        "layers": [put(store, OCI_LAYER, layer).to_json() for layer in layers],
        **more,
    }
    return put(store, OCI_MANIFEST, encode(document))


def index(store: Store, *manifests: Descriptor) -> Descriptor:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [m.to_json() for m in manifests]}
    return put(store, OCI_INDEX, encode(document))
