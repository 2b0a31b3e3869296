"""``img ls``."""

from __future__ import annotations

import json as encoder
import time
from collections.abc import Sequence
from typing import Any

from img.images.stored import held
from img.oci.reference import Reference
from img.oci.spec import INDEXES, Index, Manifest
from img.settings import human
from img.store.images import Image
from img.store.store import Store
from img_cli.context import open_session


def ls(json: bool, filters: Sequence[str], quiet: bool, digests: bool) -> int:
    """Print a table of the images, or a JSON array."""
    from img.images.select import matching

    with open_session() as session:
        images = matching(session.store.images.list(), filters)
        rows = [] if quiet and not json else [_row(session.store, image) for image in images]
    if json:
        print(encoder.dumps(rows, indent=2))
    elif quiet:
        for image in images:
            print(image.descriptor.digest if digests else Reference.parse(image.name).familiar)
    else:
        heads = ["NAME", "SIZE", "CREATED AT", "UPDATED AT", "DIGEST", *(["IMAGE ID"] if digests else [])]
        table([tuple(heads), *[_cells(row, digests) for row in rows]])
    return 0


def _row(store: Store, image: Image) -> dict[str, Any]:
    descriptor = image.descriptor
    return {
        "name": image.name,
        "digest": descriptor.digest,
        "mediaType": descriptor.media_type,
        "size": size(store, descriptor.digest, descriptor.media_type),
        "created": image.created,
        "updated": image.updated,
        "ids": [one.manifest.config.digest for one in held(store, descriptor)],
    }


def _cells(row: dict[str, Any], digests: bool) -> tuple[str, ...]:
    name = Reference.parse(row["name"]).familiar
    cells = [name, human(row["size"]), when(row["created"]), when(row["updated"]), row["digest"]]
    return (*cells, *([",".join(row["ids"]) or "-"] if digests else []))


def size(store: Store, digest: str, media_type: str) -> int:
    """Bytes of an image as a registry counts them: its compressed layers, configuration and manifest."""
    if not store.blobs.has(digest):
        return 0
    data = store.blobs.read(digest)
    if media_type in INDEXES:
        return len(data) + sum(size(store, m.digest, m.media_type) for m in Index.parse(data).manifests)
    manifest = Manifest.parse(data)
    return len(data) + manifest.config.size + sum(layer.size for layer in manifest.layers)


def when(seconds: float) -> str:
    """A time in the local zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns as wide as they need."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
