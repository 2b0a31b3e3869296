"""What a COPY took from a local folder, path by path, kept under the digest of the selection: for naming the files that
changed. Twelve digits of each file's digest tell whether its content is another; they are never part of a key."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from img.files.select import Item
    from img.store.store import Store

NAMED = 5
"""Files that are named; more are counted."""
LARGEST = 64 << 20
"""Bytes of the largest listing that is read: it may come from another machine."""
LIMIT = 200_000
"""Entries of the largest selection that is kept."""

Row = tuple[str, str]
"""Attributes (kind, mode, owner), and content or link target."""


def keep(store: Store, digest: str, items: Iterable[Item]) -> None:
    """Keep a selection's listing, if the store has it not yet."""
    if store.listings.get(digest) is not None:
        return
    lines: list[str] = []
    for item in items:
        for entry in item.entries:
            path = "/".join(filter(None, (item.name, entry.path)))
            attributes = f"{entry.kind} {entry.mode:o} {entry.uid}:{entry.gid}"
            lines.append(f"{path}\0{attributes}\0{entry.digest[7:19] or entry.link}")
            if len(lines) > LIMIT:
                return
    packed = zlib.compress("\n".join(lines).encode("utf-8", "surrogateescape"), 6)
    store.listings.set(digest, base64.b64encode(packed).decode("ascii"))


def differences(store: Store, before: str, now: str) -> list[str]:
    """What differs between two selections, in words for people; empty if either was not kept."""
    old, new = _read(store, before), _read(store, now)
    if old is None or new is None:
        return []
    found: list[str] = []
    for path in sorted({*old, *new}):
        left, right = old.get(path), new.get(path)
        if left == right:
            continue
        found.append(f"{printable(path) or '.'} ({_how(left, right)})")
    if len(found) > NAMED:
        found[NAMED - 1 :] = [f"and {len(found) - NAMED + 1} more files"]
    return [", ".join(found)] if found else []


def printable(text: str) -> str:
    """Text that can't speak to a terminal: it may come from another machine."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _how(left: Row | None, right: Row | None) -> str:
    if left is None:
        return "new"
    if right is None:
        return "gone"
    if left[1] != right[1]:
        return "content"
    return "mode" if left[0].split()[0] == right[0].split()[0] else "kind"


def _read(store: Store, digest: str) -> dict[str, Row] | None:
    text = store.listings.get(digest)
    if text is None:
        return None
    try:
        plain = zlib.decompressobj().decompress(base64.b64decode(text), LARGEST)
    except (ValueError, zlib.error):
        return None
    lines = plain.decode("utf-8", "surrogateescape").split("\n")
    rows = (line.split("\0") for line in lines if line.count("\0") == 2)
    return {path: (attributes, content) for path, attributes, content in rows}
