"""What the answers share: places as JSON, columns, and excerpts of a file as docker prints them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from img.errors import Place

Json = Any
RULE = "-" * 20


def location(place: Place) -> Json:
    """The lines of a place as BuildKit's source location: one range for each, counted from 1."""
    lines = range(place.line, max(place.end_line, place.line) + 1)
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}} for line in lines]}


def present(document: Mapping[str, Json]) -> Json:
    """The document without the fields that say nothing: those are left out in BuildKit's answers."""
    return {name: value for name, value in document.items() if value not in ("", False, None, [], ())}


def encoded(data: bytes) -> str:
    """Bytes in JSON: base64."""
    return base64.b64encode(data).decode("ascii")


def columns(rows: Sequence[Sequence[str]], gap: int = 3) -> str:
    """Rows in columns as wide as they need, `gap` blanks between them; each ends in a newline."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ("".join(cell.ljust(width + gap) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{printable(line.rstrip())}\n" for line in lines)


def excerpt(rows: Sequence[str], place: Place) -> str:
    """``file:line``, and the lines with a few around them, between rules."""
    first, last = place.line, min(max(place.end_line, place.line), len(rows))
    if not 1 <= first <= len(rows):
        return ""
    start, end = first, last
    pad, added = 4 if first == last else 2, 0
    while added < pad:
        if start > 1:
            start, added = start - 1, added + 1
        if end < len(rows):
            end, added = end + 1, added + 1
        added += 1
    shown = [f"{place.file}:{first}", RULE]
    for number in range(start, end + 1):
        mark = ">>>" if first <= number <= last else "   "
        shown.append(f" {number:3} | {mark} {printable(rows[number - 1])}")
    return "\n".join((*shown, RULE)) + "\n"


def printable(text: str) -> str:
    """Text without what could move a terminal's cursor or change its state."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
