"""Parser directives: the comments at the top of a file that say how to read the rest.

``# syntax=``, ``# escape=`` and ``# check=``, in any case of letters, each once. The first line that is anything else
(a blank, another comment, an instruction) ends them. `syntax_of` alone also knows other ways to name a frontend, since
a file that some other frontend reads need not have ``#`` comments. Cheap to import: the engine asks before it loads
a frontend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NAMES = ("syntax", "escape", "check")

_BOM = b"\xef\xbb\xbf"
_HEAD = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=(.*)", re.S)
_TRIMMED = "\t\n\f\r "


class Directive(NamedTuple):
    """One directive: its name in lower case, its value, and where the value starts in the row (from 0)."""

    name: str
    value: str
    column: int


def directive(row: str, comment: str = "#") -> Directive | None:
    """The directive that a row holds; None if it holds none."""
    if not row.startswith(comment):
        return None
    from img_frontends.dockerfile.space import BLANKS

    text = row[len(comment) :].lstrip(BLANKS)
    match = _HEAD.match(text)
    if match is None or match[1].lower() not in NAMES:
        return None
    value = match[2].strip(_TRIMMED) or match[2][-1:]
    if not value:
        return None
    return Directive(match[1].lower(), value, row.rindex(value))


def leading(rows: Iterable[str], comment: str = "#") -> list[Directive]:
    """The directives before the first row that holds none, up to the first one that is there twice."""
    found: list[Directive] = []
    for row in rows:
        one = directive(row, comment)
        if one is None or any(one.name == other.name for other in found):
            break
        found.append(one)
    return found


def after_shebang(rows: Sequence[str]) -> list[Directive]:
    """What a file that starts with ``#!`` says after that line. ``escape`` has no effect there, as in BuildKit."""
    return [one for one in leading(rows[1:]) if one.name != "escape"]


def syntax_of(data: bytes) -> str:
    """The frontend a file asks for, without what follows the first space; empty if it asks for none.

    After a byte order mark and a ``#!`` line: ``# syntax=REF``, else ``// syntax=REF``, else a JSON object that has
    ``"syntax": "REF"``. Never fails.
    """
    data = data.removeprefix(_BOM)
    if data.startswith(b"#!"):
        data = data.partition(b"\n")[2]
    for comment in ("#", "//"):
        for one in leading(_rows(data), comment):
            if one.name == "syntax":
                return one.value.partition(" ")[0]
    return _from_json(data)


def _rows(data: bytes) -> Iterable[str]:
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield data[at:end].removesuffix(b"\r").decode("utf-8", "surrogateescape")
        at = end + 1


def _from_json(data: bytes) -> str:
    if not data.lstrip(b" \t\r\n").startswith(b"{"):
        return ""
    import json

    try:
        found = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    value = found.get("syntax") if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
