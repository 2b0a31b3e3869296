"""Two images side by side: configuration, layer by layer, file by file. Layers of one diff id are not read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from img.files.entry import Entry
from img.images.places import opened
from img.images.provider import Found
from img.images.stored import checked_ids, whole
from img.oci.closure import OneImage
from img.oci.compress import decompressed
from img.oci.estargz import LANDMARKS, TOC, TOC_DIGEST
from img.oci.retell import members
from img.oci.spec import Descriptor
from img.ports import Host

FIELDS = ("kind", "mode", "uid", "gid", "size", "digest", "link", "device", "xattrs", "mtime")
WORDS = {"digest": "content", "mtime": "time"}
"""How fields are called where the `Entry` has another name for them."""


class Difference(NamedTuple):
    """One thing that is not the same. `layer` counts from 0; -1 is the configuration, where `path` is a key, or ``history``
    and the number of a step, counted from 1."""

    layer: int
    path: str
    change: str
    """``added`` (only the second has it), ``removed`` (only the first), ``changed``; of a layer as a whole ``order`` (the
    same entries in another order) or ``form`` (the same entries, written as another tar)."""
    what: tuple[tuple[str, str, str], ...] = ()
    """(field, in the first, in the second) of what changed."""


def compare(host: Host, first: str, second: str, platform: str = "") -> list[Difference]:
    """What differs between two images (`img.images.places`); nothing if they unpack to the same and say the same.
    Compression is no difference. Raises `ImgError`."""
    with opened(host, first) as one, opened(host, second) as other:
        return list(between(one, one.one(platform), other, other.one(platform)))


def between(found: Found, image: OneImage, other: Found, with_: OneImage) -> Iterator[Difference]:
    """See `compare`; memory is the listing of two layers at a time."""
    yield from _configs(image.config, with_.config)
    mine, theirs = checked_ids(image), checked_ids(with_)
    for number in range(max(len(mine), len(theirs))):
        if number < min(len(mine), len(theirs)) and mine[number] == theirs[number]:
            continue
        before = listing(found, image.manifest.layers[number]) if number < len(mine) else {}
        after = listing(other, with_.manifest.layers[number]) if number < len(theirs) else {}
        different = list(_files(number, before, after))
        yield from different
        if not different:
            yield Difference(number, "", "order" if list(before) != list(after) else "form")


def _configs(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """Keys of the configuration, those of its ``config`` one by one; what follows from the layers is left to them."""
    flat, flatter = _flat(one), _flat(other)
    for key in sorted({*flat, *flatter} - {"rootfs", "history"}):
        before, after = flat.get(key), flatter.get(key)
        if before == after:
            continue
        change = "added" if key not in flat else "removed" if key not in flatter else "changed"
        yield Difference(-1, key, change, ((key, _short(before), _short(after)),))
    yield from _histories(one.get("history") or [], other.get("history") or [])


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in config.items() if key != "config"}
    for key, value in (config.get("config") or {}).items():
        if key == "Env":
            pairs = (str(word).partition("=") for word in value or ())
            found.update({f"config.Env.{name}": text for name, _, text in pairs})
        elif isinstance(value, Mapping) and key in ("Labels", "ExposedPorts", "Volumes"):
            found.update({f"config.{key}.{name}": text for name, text in value.items()})
        else:
            found[f"config.{key}"] = value
    return found


def _histories(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """The steps of the history, each against the one that it became; their numbers are those of the image that has them,
    of the second if both have."""
    from difflib import SequenceMatcher

    words = [list(map(_words, steps)) for steps in (one, other)]
    for kind, a, end_a, b, end_b in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        both = min(end_a - a, end_b - b) if kind in ("equal", "replace") else 0
        for n in range(both):
            if what := _steps(one[a + n], other[b + n]):
                yield Difference(-1, f"history {b + n + 1}", "changed", what)
        for n in range(a + both, end_a):
            yield Difference(-1, f"history {n + 1}", "removed", (("by", words[0][n], ""),))
        for n in range(b + both, end_b):
            yield Difference(-1, f"history {n + 1}", "added", (("by", "", words[1][n]),))


def _steps(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """What differs between two steps; the first says which step it is, if that is the same."""
    keys = sorted({*one, *other} - {"created_by"})
    what = [
        (key, _short(one.get(key, "")), _short(other.get(key, ""))) for key in keys if one.get(key) != other.get(key)
    ]
    by = _words(one), _words(other)
    return (("by", *by), *what) if what or by[0] != by[1] else ()


def _words(step: Mapping[str, Any]) -> str:
    return _short(" ".join(str(step.get("created_by") or step.get("comment") or "").split()))


def _files(number: int, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Iterator[Difference]:
    for path in sorted({*before, *after}):
        if path not in before:
            yield Difference(number, path, "added")
        elif path not in after:
            yield Difference(number, path, "removed")
        elif what := _fields(before[path], after[path]):
            yield Difference(number, path, "changed", what)


def _fields(one: Entry, other: Entry) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (WORDS.get(name, name), _value(name, one), _value(name, other))
        for name in FIELDS
        if getattr(one, name) != getattr(other, name)
    )


def _value(name: str, entry: Entry) -> str:
    value = getattr(entry, name)
    if name == "mode":
        return f"{value:04o}"
    if name == "mtime":
        from img.outputs import rfc3339

        return rfc3339(value / 1e9).replace(".000000000", "")
    return _short(value)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 200 else f"{text[:200]}…"


def listing(found: Found, layer: Descriptor) -> dict[str, Entry]:
    """The entries of a layer by path, files with the digest of their content, in the order they stand; what
    makes a layer eStargz is left out. Raises `LayerError`, `CorruptBlob`."""
    entries: dict[str, Entry] = {}
    added = (TOC, *LANDMARKS) if TOC_DIGEST in layer.annotations else ()
    packed = whole(found.provider, layer)
    for entry, content in members(decompressed(packed, layer.media_type)):
        if entry.kind == "file":
            record = hashlib.sha256()
            for data in content.chunks():
                record.update(data)
            entry = entry._replace(digest="sha256:" + record.hexdigest())
        if entry.path not in added:
            entries[entry.path] = entry
    for _ in packed:
        pass
    return entries
