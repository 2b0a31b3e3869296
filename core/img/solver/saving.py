"""What goes into a remote cache, gathered from the store after a build.

``min``: every step that the results stand on, so only layers of the results. ``max``: every step of the graph. Layers of
base images are named, not kept: who builds the same has the same bases. Blobs are the ones that the store has or knows
where to find; only what has none yet is packed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING

from img.ir.nodes import Node, Scratch, Source
from img.ir.walk import chain, topological
from img.solver.explain import Slot, portable
from img.solver.index import CachedLayer, CachedRecord, CacheIndex
from img.solver.keys import FILES
from img.solver.lookup import Cache
from img.store.forms import LayerBlob

if TYPE_CHECKING:
    from img.oci.packing import Packing
    from img.store.store import Store

THREADS = 4
OUTLINES = 2 << 20
"""Letters of all outlines that go into a cache, about 250,000 files: the index has to come within the deadline."""


def steps_of(goals: Sequence[Node], mode: str) -> list[Node]:
    """The nodes whose results are kept."""
    nodes = topological(goals) if mode == "max" else dict.fromkeys(node for goal in goals for node in chain(goal))
    return [node for node in nodes if not isinstance(node, Source | Scratch)]


def records_of(cache: Cache, nodes: Iterable[Node]) -> tuple[CachedRecord, ...]:
    """What the store has of them, as far as every layer can still be had."""
    store = cache.store
    found: dict[tuple[str, ...], CachedRecord] = {}
    for node in nodes:
        pinned = cache.pinned(node).digest
        record = store.records.get(pinned)
        if record is None or not all(map(store.layers.available, record.layers)):
            continue
        content = store.contents.get(pinned)
        keys = (pinned, content) if content and content != pinned else (pinned,)
        found[keys] = CachedRecord(keys, record.layers, node.notes.title)
    return tuple(found.values())


def gather(
    cache: Cache,
    goals: Sequence[Node],
    mode: str,
    groups: Iterable[tuple[str, ...]],
    steps: Sequence[Slot],
    packing: Packing | None = None,
) -> CacheIndex:
    """The index of a cache for the results of `goals`. `groups` are the layers of the images that were made of them.

    Raises `StoreError`, `CacheLost` and `RegistryError` if a layer's bytes are needed and can't be had.
    """
    store = cache.store
    records = records_of(cache, steps_of(goals, mode))
    ids = [id for id in dict.fromkeys(id for r in records for id in r.layers) if not _of_a_base(store, id)]
    with ThreadPoolExecutor(THREADS, "layer") as pool:
        blobs = list(pool.map(lambda id: _blob(store, (id,), packing), ids))
    layers = {id: CachedLayer(id, blob, _created(store, id)) for id, blob in zip(ids, blobs, strict=True)}
    squashed = {}
    for group in groups:
        if len(group) > 1 and set(group) <= layers.keys():
            made = store.layers.promised(group) or store.layers.known(group)
            if made is not None:
                squashed[group] = made
    words = _words(store, [*(r.keys[0] for r in records), *(slot.key for slot in steps)])
    outlines = _outlines(store, [record.layers for record in records])
    return CacheIndex(layers, squashed, records, words, _listings(store, words), tuple(steps), outlines)


def _outlines(store: Store, stacks: Iterable[Sequence[str]]) -> dict[str, str]:
    """Outlines of all layers below steps, as many as have room, bases first: with them a COPY need not fetch elsewhere what
    it lands on."""
    whole: list[tuple[str, ...]] = []
    for stack in sorted({tuple(stack) for stack in stacks}, key=lambda stack: (-len(stack), stack)):
        if not any(longer[: len(stack)] == stack for longer in whole):
            whole.append(stack)
    found: dict[str, str] = {}
    for stack in whole:
        found.update(store.outlines.remember(stack, every=True))
    sizes = accumulate(len(text) for text in found.values())
    return {key: text for (key, text), size in zip(found.items(), sizes, strict=True) if size <= OUTLINES}


def _of_a_base(store: Store, id: str) -> bool:
    layer = store.layers.get(id)
    return layer is not None and layer.origin is not None and "cache" not in layer.origin


def _blob(store: Store, group: tuple[str, ...], packing: Packing | None) -> LayerBlob:
    there = store.layers.promised(group) or store.layers.known(group)
    if there is not None and (packing is None or not store.blobs.has(there.descriptor.digest)):
        return there
    return store.layers.blob(group) if packing is None else store.variants.blob(group, packing)


def _created(store: Store, id: str) -> float:
    layer = store.layers.get(id)
    return layer.created if layer is not None else 0.0


def _words(store: Store, keys: Iterable[str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for key in dict.fromkeys(keys):
        text = store.plain.get(key)
        if text is not None:
            parts = tuple((str(name), str(value)) for name, value in json.loads(text))
            found[key] = [list(part) for part in portable(parts)]
    return found


def _listings(store: Store, words: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, str]:
    digests = {value for parts in words.values() for name, value in parts if name == FILES}
    rows = {digest: store.listings.get(digest) for digest in digests}
    return {digest: text for digest, text in rows.items() if text is not None}
