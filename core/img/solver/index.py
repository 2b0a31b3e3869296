"""What a remote cache says, as one JSON document: which results there are, of which layers, and why they are so.

    version   1
    layers    [{id, diffId, blob, created}]        `blob` is a descriptor; `created` Unix time
    squashed  [{group, diffId, blob}]              a group of layers as one, as an image has it
    records   [{keys, layers, title}]              keys: pinned, then content if it is known; layers bottom up
    words     {key: [[name, value]…]}              the parts of pinned keys in plain words (`img.solver.explain`)
    listings  {digest: text}                       what a COPY took from a local folder (`img.solver.listings`)
    outlines  {layer: text}                        where the entries of layers are (`img.store.outlines`)
    steps     [[group, number, title, key]…]       the journal of the build that wrote it

A record's layers that are not among `layers` are those of base images: who builds the same has the same bases. The
document comes from outside: it is checked here, field by field, before anything is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from img.digest import is_digest
from img.errors import LayerError
from img.oci.spec import Descriptor
from img.solver.explain import Slot
from img.store.forms import LayerBlob

VERSION = 1
Json = Any


class CachedLayer(NamedTuple):
    """A layer by the name it has in the store, its blob, and when it was first made (Unix time)."""

    id: str
    blob: LayerBlob
    created: float


class CachedRecord(NamedTuple):
    """One result: its keys (pinned; content, if known), its layers bottom up, the step's title."""

    keys: tuple[str, ...]
    layers: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class CacheIndex:
    """See the module's contract."""

    layers: Mapping[str, CachedLayer]
    squashed: Mapping[tuple[str, ...], LayerBlob] = field(default_factory=dict)
    records: tuple[CachedRecord, ...] = ()
    words: Mapping[str, Json] = field(default_factory=dict)
    listings: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Slot, ...] = ()
    outlines: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Json]:
        """As JSON; the same index gives the same document."""
        return {
            "version": VERSION,
            "layers": [
                {"id": one.id, **_blob_json(one.blob), "created": one.created} for _, one in sorted(self.layers.items())
            ],
            "squashed": [{"group": list(group), **_blob_json(blob)} for group, blob in sorted(self.squashed.items())],
            "records": [{"keys": list(r.keys), "layers": list(r.layers), "title": r.title} for r in self.records],
            "words": dict(sorted(self.words.items())),
            "listings": dict(sorted(self.listings.items())),
            "outlines": dict(sorted(self.outlines.items())),
            "steps": [list(step) for step in self.steps],
        }

    def blobs(self) -> list[LayerBlob]:
        """Every blob that is named, each once."""
        found = [*(one.blob for one in self.layers.values()), *self.squashed.values()]
        return list({blob.descriptor.digest: blob for blob in found}.values())

    @classmethod
    def parse(cls, document: Json) -> CacheIndex:
        """Raises `LayerError` naming what is wrong."""
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise LayerError("the cache is of another version", hint="it was written by another img: write it anew")
        layers = [_layer(item) for item in _list(document, "layers")]
        groups = [(_digests(item, "group"), _blob(item)) for item in _list(document, "squashed")]
        words, listings = document.get("words") or {}, document.get("listings") or {}
        outlines = document.get("outlines") or {}
        if not _texts(listings) or not _texts(outlines) or not all(map(is_digest, outlines)):
            raise LayerError("the cache's listings are not what they should be")
        if not isinstance(words, dict) or not all(map(_parts, words.values())):
            raise LayerError("the cache's words are not what they should be")
        return cls(
            {one.id: one for one in layers},
            dict(groups),
            tuple(_record(item) for item in _list(document, "records")),
            words,
            listings,
            tuple(_slot(item) for item in _list(document, "steps")),
            outlines,
        )


def _blob_json(blob: LayerBlob) -> dict[str, Json]:
    return {"diffId": blob.diff_id, "blob": blob.descriptor.to_json()}


def _list(document: Mapping[str, Json], name: str) -> list[Json]:
    found = document.get(name) or []
    if not isinstance(found, list):
        raise LayerError(f"the cache's {name} are not a list")
    return found


def _digests(item: Json, name: str) -> tuple[str, ...]:
    found = item.get(name) if isinstance(item, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, str) and is_digest(one) for one in found):
        raise LayerError(f"the cache has {name} that are not digests")
    return tuple(found)


def _blob(item: Json) -> LayerBlob:
    diff_id = item.get("diffId")
    if not isinstance(diff_id, str) or not is_digest(diff_id):
        raise LayerError("the cache has a diff id that is no digest")
    return LayerBlob(Descriptor.from_json(item.get("blob"), "the cache's blob"), diff_id)


def _layer(item: Json) -> CachedLayer:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not is_digest(item["id"]):
        raise LayerError("the cache has a layer without an id")
    created = item.get("created")
    known = isinstance(created, int | float) and not isinstance(created, bool) and 0 <= created < 1 << 35
    return CachedLayer(item["id"], _blob(item), float(created or 0.0) if known else 0.0)


def _record(item: Json) -> CachedRecord:
    keys, title = _digests(item, "keys"), item.get("title")
    if not 1 <= len(keys) <= 2:
        raise LayerError("the cache has a record without keys")
    return CachedRecord(keys, _digests(item, "layers"), title if isinstance(title, str) else "")


def _slot(item: Json) -> Slot:
    kinds = (str, int, str, str)
    if not isinstance(item, list) or len(item) != 4 or not all(map(isinstance, item, kinds)):
        raise LayerError("the cache has a step that is none")
    return Slot(*item)


def _parts(value: Json) -> bool:
    pair: Callable[[Json], bool] = lambda p: isinstance(p, list) and len(p) == 2 and _all_text(p)  # noqa: E731
    return isinstance(value, list) and all(map(pair, value))


def _texts(value: Json) -> bool:
    return isinstance(value, dict) and _all_text(value.values())


def _all_text(values: Iterable[Json]) -> bool:
    return all(isinstance(value, str) for value in values)
