"""What the sources of images share: checking an image's documents, and making its layers known to the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from img.errors import LayerError
from img.oci.spec import OCI_MANIFEST, Manifest, diff_ids, parse_object
from img.ports import Snapshot
from img.store.store import Store


def documents(store: Store, digest: str, name: str) -> tuple[Manifest, dict[str, Any]]:
    """Manifest and configuration that the store has of an image. Raises `LayerError`, `StoreError`."""
    manifest = Manifest.parse(store.blobs.read(digest), OCI_MANIFEST)
    config = parse_object(store.blobs.read(manifest.config.digest), f"configuration of {name}")
    return manifest, config


def checked(config: Mapping[str, Any], name: str) -> None:
    """Raises `LayerError` if the configuration is none. An only image that is for another platform is taken, as
    BuildKit takes it: much can be done with its files. The frontend tells it."""
    if not isinstance(config.get("config", {}), dict | None) or not isinstance(config.get("history", []), list | None):
        raise LayerError(f"the configuration of {name} is not one of an image: {json.dumps(config)[:80]}")


def layers_of(
    store: Store, manifest: Manifest, config: Mapping[str, Any], origin: Mapping[str, str], name: str
) -> Snapshot:
    """The image's layers, made known to the store; their bytes stay at `origin`."""
    ids = diff_ids(config)
    if len(ids) != len(manifest.layers):
        raise LayerError(f"{name} has {len(manifest.layers)} layers, but its configuration names {len(ids)}")
    return Snapshot(tuple(store.layers.add_remote(i, d, origin) for i, d in zip(ids, manifest.layers, strict=True)))
