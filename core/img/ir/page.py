"""Values as HTML tables, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from img.ir.picture import plain


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text; everything in it is escaped."""
    lines = ["<table><thead><tr>", *(f"<th>{escape(plain(word))}</th>" for word in head), "</tr></thead><tbody>"]
    for row in rows:
        lines += ["<tr>", *(f'<td style="text-align:left">{escape(plain(word))}</td>' for word in row), "</tr>"]
    return "".join([*lines, "</tbody></table>"])
