"""Cache mounts as a document: the listing of each, and in which packs the contents of its files are.

    version, kind   1, "mounts"
    mounts          {name: {id, target, files: [[path, kind, mode, uid, gid, size, mtime, link, xattrs, digest]…],
                            packs: [{blob, diffId, holds: [digest…]}…]}}

`name` is that of the folder in the store, the same on every machine. A pack is a tar of files named by their digests, so
content that is there already never travels again. The document comes from outside and is checked here: every path is
relative, and leads through folders of the same listing only.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from img.digest import is_digest
from img.errors import LayerError
from img.files.entry import Entry, Kind, entry_digest
from img.oci.spec import Descriptor
from img.store.forms import LayerBlob

VERSION = 1
KIND = "mounts"
KINDS = ("file", "dir", "symlink", "fifo")
_NAME = re.compile(r"[0-9a-f]{32}(-[0-9]{1,4})?")
Json = Any
Files = Mapping[str, Entry]
"""Entries by path; the folder itself is ""."""


class Pack(NamedTuple):
    """A blob with the contents of files, by digest."""

    blob: LayerBlob
    holds: frozenset[str]


@dataclass(frozen=True)
class Mounted:
    """One cache mount as it is elsewhere."""

    id: str
    target: str
    files: Files = field(default_factory=dict)
    packs: tuple[Pack, ...] = ()

    def without(self, gone: frozenset[str]) -> Mounted:
        """Without packs that are gone, and the files that only those have."""
        packs = tuple(pack for pack in self.packs if pack.blob.descriptor.digest not in gone)
        if packs == self.packs:
            return self
        known = {digest for pack in packs for digest in pack.holds}
        files = {path: e for path, e in self.files.items() if e.kind != "file" or e.digest in known}
        return Mounted(self.id, self.target, files, packs)

    def needed(self) -> tuple[Pack, ...]:
        """The packs that hold anything of it."""
        wanted = {entry.digest for entry in self.files.values() if entry.kind == "file"}
        return tuple(pack for pack in self.packs if pack.holds & wanted)


def document(mounts: Mapping[str, Mounted]) -> dict[str, Json]:
    """As JSON. Names that are no UTF-8 have surrogates in them: write it as ASCII."""
    return {
        "version": VERSION,
        "kind": KIND,
        "mounts": {name: _mounted_json(mounts[name]) for name in sorted(mounts)},
    }


def parse(found: Json) -> dict[str, Mounted]:
    """Raises `LayerError` naming what is wrong."""
    if not isinstance(found, dict) or found.get("version") != VERSION or found.get("kind") != KIND:
        raise LayerError("there are no cache mounts of this version", hint="name another place for them")
    mounts = found.get("mounts")
    if not isinstance(mounts, dict) or not all(_NAME.fullmatch(name) for name in mounts):
        raise LayerError("the cache mounts have names that are none")
    return {name: _mounted(value) for name, value in mounts.items()}


def merged(ours: Files, theirs: Files, base: Files) -> dict[str, Entry]:
    """Both as one: every path that either has; where both have one, the newer. What one side removed that the other has
    left as it was in `base` is gone; without a base nothing is."""
    found: dict[str, Entry] = {}
    for path in sorted({*ours, *theirs}):
        mine, yours, before = ours.get(path), theirs.get(path), base.get(path)
        if mine is not None and yours is not None:
            found[path] = yours if yours.mtime > mine.mtime else mine
        else:
            only = mine or yours
            assert only is not None
            if before is None or not same(before, only):
                found[path] = only
    return rooted(found, ours, theirs)


def same(left: Entry, right: Entry) -> bool:
    """Whether two entries of one path are the same, time and all."""
    return left.mtime == right.mtime and entry_digest(left) == entry_digest(right)


def rooted(files: Files, *others: Files) -> dict[str, Entry]:
    """`files` with the folders that lead to each taken from `others` if they were lost, and without what lies below
    something that is no folder."""
    found: dict[str, Entry] = {}
    for path in sorted(files, key=lambda path: (path.count("/"), path)):
        missing: list[str] = []
        parent = path
        while parent:
            parent = parent.rpartition("/")[0]
            if parent in found:
                break
            missing.append(parent)
        if parent in found and found[parent].kind != "dir":
            continue
        for folder in reversed(missing):
            known = next((o[folder] for o in (files, *others) if folder in o and o[folder].kind == "dir"), None)
            found[folder] = known or Entry(folder, "dir", 0o755)
        found[path] = files[path]
    return {path: found[path] for path in sorted(found)}


# --- JSON ----------------------------------------------------------------------------------------------------------


def _mounted_json(one: Mounted) -> dict[str, Json]:
    packs = [
        {"blob": p.blob.descriptor.to_json(), "diffId": p.blob.diff_id, "holds": sorted(p.holds)} for p in one.packs
    ]
    return {"id": one.id, "target": one.target, "files": [_row(e) for e in one.files.values()], "packs": packs}


def _row(entry: Entry) -> list[Json]:
    xattrs = [[name, base64.b64encode(value).decode("ascii")] for name, value in entry.xattrs]
    head = [entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime]
    return [*head, entry.link, xattrs, entry.digest]


def _mounted(value: Json) -> Mounted:
    rows, packs = (value.get(key) if isinstance(value, dict) else None for key in ("files", "packs"))
    if not isinstance(rows, list) or not isinstance(packs, list):
        raise LayerError("a cache mount has no files, or no packs")
    files = {entry.path: entry for entry in sorted(map(_entry, rows))}
    for path in files:
        parent = files.get(path.rpartition("/")[0])
        if parent is None or parent.kind != "dir":
            raise LayerError(f"the cache mount has {path!r} below something that is no folder")
    return Mounted(str(value.get("id", "")), str(value.get("target", "")), files, tuple(map(_pack, packs)))


def _entry(row: Json) -> Entry:
    kinds = (str, str, int, int, int, int, int, str, list, str)
    if not isinstance(row, list) or len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
        raise LayerError("a cache mount has a file that is none")
    path, kind, mode, uid, gid, size, mtime, link, xattrs, digest = row
    if (path and any(part in ("", ".", "..") for part in path.split("/"))) or "\0" in path:
        raise LayerError(f"a cache mount has the path {path!r}")
    numbers = 0 <= mode <= 0o7777 and 0 <= uid < 1 << 32 and 0 <= gid < 1 << 32 and size >= 0 and abs(mtime) < 1 << 63
    if kind not in KINDS or not numbers or (kind == "file") != is_digest(digest) or (kind == "symlink") != bool(link):
        raise LayerError(f"a cache mount has a file {path!r} that is none")
    return Entry(path, cast(Kind, kind), mode, uid, gid, size, mtime, link, xattrs=_xattrs(xattrs), digest=digest)


def _xattrs(rows: Sequence[Json]) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple((str(name), base64.b64decode(value, validate=True)) for name, value in rows)
    except (ValueError, TypeError, binascii.Error) as error:
        raise LayerError("a cache mount has attributes that are none") from error


def _pack(value: Json) -> Pack:
    holds, diff_id = (value.get(key) if isinstance(value, dict) else None for key in ("holds", "diffId"))
    if not isinstance(holds, list) or not all(isinstance(one, str) and is_digest(one) for one in holds):
        raise LayerError("a cache mount has a pack that holds nothing")
    if not isinstance(diff_id, str) or not is_digest(diff_id):
        raise LayerError("a cache mount has a pack without a diff id")
    return Pack(LayerBlob(Descriptor.from_json(value.get("blob"), "the pack's blob"), diff_id), frozenset(holds))
