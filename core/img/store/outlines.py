"""Outlines of layers (`img.files.outline`): where a COPY lands is found out without fetching what it lands on.

A layer's outline comes from its tree or recipe, from what was remembered of it (by this store before it made room, or by a
remote cache), or from the table of contents in its blob, of which no more than that is read. What is remembered is text by
layer id: the lines of a listing, packed. It is checked before it is used, since it may come from another machine.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, get_args

from img.errors import Cancelled, ImgError, LayerError
from img.files.entry import Entry, Kind
from img.files.listing import write_listing
from img.files.outline import NAMED
from img.store.forms import over

if TYPE_CHECKING:
    from img.ports import Snapshot
    from img.store.forms import Engine
    from img.store.layers import Layers
    from img.store.memory import Memory

LARGEST = 4 << 20
"""Letters of the longest text that is remembered; about half a million entries."""
UNPACKED = 256 << 20
"""Bytes of the longest listing that such a text may unpack to."""
KINDS = frozenset(get_args(Kind))


class Outlines:
    """Safe from several threads and processes."""

    def __init__(self, layers: Layers, remembered: Memory, engine: Engine, tmp: Path) -> None:
        self._layers = layers
        self._remembered = remembered
        self._engine = engine
        self._tmp = tmp

    def below(self, snapshot: Snapshot, contents: bool = False, anew: bool = False) -> list[str] | None:
        """A tree or an outline for each layer, bottom up, for `img.files.outline.view_of`. None if that is of no use: all
        bytes are here, or some layer has no outline that can be had for less than its bytes. With `contents`,
        the files that name owners are read with a table of contents; with `anew`, of all layers that have one."""
        ids = snapshot.layers
        if not self._layers.awaited(ids) or (known := self._known(ids)) is None:
            return None
        there, texts = known
        try:
            if anew:
                texts = [None if self._has_toc(id) else texts[n] for n, id in enumerate(ids)]
            return [there[n] or os.fspath(self._listing(id, texts[n], contents)) for n, id in enumerate(ids)]
        except Cancelled:
            raise
        except ImgError:  # a broken or dishonest table: the bytes themselves are verified
            return None

    def suffice(self, snapshot: Snapshot) -> bool:
        """Whether each layer has an outline, as far as is known without reading one."""
        return self._known(snapshot.layers) is not None

    def _known(self, ids: Sequence[str]) -> tuple[list[str], list[str | None]] | None:
        """The tree or listing of each layer, or what is remembered of it, or neither where it has a table of contents; None
        if some layer has nothing at all."""
        there = [one.path for one in self._layers.standing(ids)]
        texts = [None if there[number] else self._text(ids, number) for number in range(len(ids))]
        known = all(there[n] or texts[n] is not None or self._has_toc(id) for n, id in enumerate(ids))
        return (there, texts) if known else None

    def _text(self, ids: Sequence[str], number: int) -> str | None:
        """What is remembered of a layer, by itself or over those below it."""
        return self._remembered.get(ids[number]) or self._remembered.get(over(ids, number))

    def _has_toc(self, id: str) -> bool:
        from img.oci.toc import has_toc

        layer = self._layers.get(id)
        return bool(layer and layer.descriptor and layer.origin and has_toc(layer.descriptor))

    def _listing(self, id: str, text: str | None, contents: bool) -> Path:
        """A new file with the outline of a layer, from what is remembered, else from its table of contents."""
        path = self._tmp / f"outline-{os.urandom(6).hex()}"
        if text is not None:
            path.write_bytes(unpacked(text))
            return path
        from img.oci.toc import read_toc

        layer = self._layers.get(id)
        assert layer is not None
        assert layer.descriptor is not None
        assert layer.origin is not None
        descriptor, origin = layer.descriptor, layer.origin

        def open_at(at: int, end: int) -> IO[bytes]:
            return self._engine.open_blob(origin, replace(descriptor, size=min(end, descriptor.size)), at)

        write_listing(path, read_toc(descriptor, open_at, NAMED if contents else ()))
        self._keep(id, path)
        return path

    # --- remembering ---------------------------------------------------------------------------------------

    def remember(self, ids: Sequence[str], every: bool = False) -> dict[str, str]:
        """Keep the outlines of a stack's layers that came from somewhere, or of `every` one, as far as they have trees or
        recipes, which may go now. Returns what is remembered of them, for other machines."""
        found: dict[str, str] = {}
        for number, (path, key) in enumerate(self._layers.standing(ids)):
            id = ids[number]
            layer = self._layers.get(id)
            if layer is None or (layer.origin is None and not every):
                continue
            if path and not self._remembered.get(key):
                listing = self._tmp / f"outline-{os.urandom(6).hex()}"
                self._engine.sandbox.call("img.files.jobs:write_outline", path, os.fspath(listing))
                self._keep(key, listing)
                listing.unlink()
            known = next((name for name in (key, over(ids, number)) if self._remembered.get(name)), "")
            if known:
                found[known] = self._remembered.get(known) or ""
        return found

    def fill(self, texts: Mapping[str, str]) -> None:
        """Remember what another machine knew; what is known here stays."""
        self._remembered.fill({id: text for id, text in texts.items() if len(text) <= LARGEST})

    def _keep(self, id: str, path: Path) -> None:
        text = packed(path.read_bytes())
        if len(text) <= LARGEST:
            self._remembered.set(id, text)


def packed(listing: bytes) -> str:
    """The text that stands for the lines of a listing."""
    return base64.b64encode(zlib.compress(listing, 6)).decode("ascii")


def unpacked(text: str) -> bytes:
    """The lines of a listing, each an entry that stays inside the root. Raises `LayerError`."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), UNPACKED)
        if not unpacker.eof:
            raise ValueError("it is cut short, or too long")
        for line in data.splitlines():
            _check(json.loads(line))
    except (ValueError, TypeError, LookupError, zlib.error, RecursionError) as error:
        raise LayerError(f"the outline of a layer can't be read: {error}") from error
    return data


def _check(row: Any) -> None:
    entry = Entry(*row)
    texts = (entry.path, entry.link, entry.digest, entry.source)
    numbers = (entry.mode, entry.uid, entry.gid, entry.size, entry.mtime, *entry.device)
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError("an entry has a field of another kind")
    if entry.source:
        raise ValueError("an entry names a file of this machine")
    if entry.kind not in KINDS or len(entry.device) != 2 or ".." in entry.path.split("/") or not 0 <= entry.mode < 4096:
        raise ValueError("an entry is none")
    for name, value in row[9]:
        base64.b64decode(value, validate=True)
        name.encode("utf-8", "surrogateescape")
    if not 0 <= entry.uid < 1 << 32 or not 0 <= entry.gid < 1 << 32 or not isinstance(entry.opaque, bool):
        raise ValueError("an entry belongs to nobody")
