"""``img ls``."""

from __future__ import annotations

import json as encoder
import time
from collections.abc import Sequence

from img.oci.reference import Reference
from img.oci.spec import INDEXES, Index, Manifest
from img.store.store import Store
from img_cli.context import open_session


def ls(json: bool) -> int:
    """Print a table of the images, or a JSON array."""
    with open_session() as session:
        images = session.store.images.list()
        sizes = {
            image.name: size(session.store, image.descriptor.digest, image.descriptor.media_type) for image in images
        }
    if json:
        rows = [
            {
                "name": image.name,
                "digest": image.descriptor.digest,
                "mediaType": image.descriptor.media_type,
                "size": sizes[image.name],
                "created": image.created,
                "updated": image.updated,
            }
            for image in images
        ]
        print(encoder.dumps(rows, indent=2))
        return 0
    table(
        [("NAME", "SIZE", "CREATED AT", "UPDATED AT", "DIGEST")]
        + [
            (
                Reference.parse(image.name).familiar,
                human(sizes[image.name]),
                when(image.created),
                when(image.updated),
                image.descriptor.digest,
            )
            for image in images
        ]
    )
    return 0


def size(store: Store, digest: str, media_type: str) -> int:
    """Bytes of an image as a registry counts them: its compressed layers, configuration and manifest."""
    if not store.blobs.has(digest):
        return 0
    data = store.blobs.read(digest)
    if media_type in INDEXES:
        return len(data) + sum(size(store, m.digest, m.media_type) for m in Index.parse(data).manifests)
    manifest = Manifest.parse(data)
    return len(data) + manifest.config.size + sum(layer.size for layer in manifest.layers)


def human(count: float) -> str:
    """Bytes for people, in powers of 1000 as docker shows them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g}TB"


def when(seconds: float) -> str:
    """A time in the local zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns as wide as they need."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
