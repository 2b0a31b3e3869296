"""The cache that an image carries in its own configuration: keys of the steps that its layers are the results of.

    img.cache   {version, records: [{keys, layers: N, title}], layers: [[id, created] or null…]}

`layers` has an entry for each layer of the image, null where the image's layer is several of the store's as one; a
record's result is the first N layers. Blobs and diff ids are the image's own, so the cache costs no upload.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from img.digest import is_digest
from img.errors import LayerError
from img.oci.spec import Descriptor, Manifest, diff_ids
from img.solver.index import VERSION, CachedRecord
from img.store.store import Store

KEY = "img.cache"
Json = Any


def inline_document(
    store: Store, groups: Sequence[tuple[str, ...]], records: Sequence[CachedRecord], epoch: int | None = None
) -> dict[str, Json]:
    """What goes into the configuration of the image whose layers are `groups`."""
    whole = 0
    while whole < len(groups) and len(groups[whole]) == 1:
        whole += 1
    ids = [group[0] for group in groups[:whole]]
    kept = [
        {"keys": list(r.keys), "layers": len(r.layers), "title": r.title}
        for r in records
        if r.layers and list(r.layers) == ids[: len(r.layers)]
    ]
    rows = [[id, _created(store, id) if epoch is None else epoch] for id in ids]
    return {"version": VERSION, "records": kept, "layers": [*rows, *[None] * (len(groups) - whole)]}


def _created(store: Store, id: str) -> float:
    layer = store.layers.get(id)
    return layer.created if layer is not None else time.time()


def index_document(manifest: Manifest, config: Mapping[str, Json]) -> dict[str, Json] | None:
    """The same as an index of a cache (`img.solver.index`); None for an image that carries none. Raises `LayerError`."""
    found = config.get(KEY)
    if not isinstance(found, dict):
        return None
    ids, rows, records = diff_ids(config), found.get("layers"), found.get("records")
    if not isinstance(rows, list) or not isinstance(records, list) or not len(ids) == len(manifest.layers) == len(rows):
        raise LayerError("the image's own cache does not fit its layers")
    layers = []
    for row, diff_id, blob in zip(rows, ids, manifest.layers, strict=True):
        if row is None:
            break
        layers.append(_layer(row, diff_id, blob))
    return {
        "version": found.get("version"),
        "layers": layers,
        "records": [
            {**one, "layers": [row["id"] for row in layers[: one["layers"]]]} for one in records if _fits(one, layers)
        ],
    }


def _layer(row: Json, diff_id: str, blob: Descriptor) -> dict[str, Json]:
    if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str) or not is_digest(row[0]):
        raise LayerError("the image's own cache names a layer that is none")
    return {"id": row[0], "diffId": diff_id, "blob": blob.to_json(), "created": row[1]}


def _fits(record: Json, layers: Sequence[Json]) -> bool:
    count = record.get("layers") if isinstance(record, dict) else None
    return isinstance(count, int) and 0 < count <= len(layers)
