"""``dockerfile.lark`` as a parser: made ready when the wheel is built, and loaded then; else made from the text.

The saved form is lark's own (``Lark.save``), a pickle: it is read from this package's folder and from nowhere else.
Its first line says which lark made it and of which grammar; if either differs, the text is compiled instead. Needs
nothing of img, so that the build of the wheel can run it.
"""

from __future__ import annotations

import hashlib
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

STARTS = ("text", "words", "exec", "pairs", "legacy")
ESCAPES = {"\\": "backslash", "`": "backtick"}
"""The escape characters, and what their saved parsers are called."""

_BLANK = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_GAP = r"\t\v\f\r "


@cache
def grammar(escape: str) -> Any:
    """The LALR parser for files with this escape character."""
    return saved(escape) or compiled(escape)


def source(escape: str, folder: Path | None = None) -> str:
    """The grammar's text for this escape character."""
    text = ((folder or Path(__file__).parent) / "dockerfile.lark").read_text(encoding="utf-8")
    for name, value in (("<ESCAPE>", re.escape(escape)), ("<BLANK>", _BLANK), ("<GAP>", _GAP)):
        text = text.replace(name, value)
    return text


def compiled(escape: str) -> Any:
    """The parser made from the text."""
    from lark import Lark

    return Lark(source(escape), parser="lalr", start=list(STARTS), maybe_placeholders=False)


def saved(escape: str, folder: Path | None = None) -> Any:
    """The saved parser; None if there is none that fits."""
    from lark import Lark

    path = (folder or Path(__file__).parent) / f"{ESCAPES[escape]}.parser"
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = _head(escape)
    return Lark.load(io.BytesIO(data[len(head) :])) if data.startswith(head) else None


def save(escape: str, folder: Path) -> Path:
    """Write the parser into `folder`; returns its file."""
    buffer = io.BytesIO()
    compiled(escape).save(buffer)
    path = folder / f"{ESCAPES[escape]}.parser"
    path.write_bytes(_head(escape) + buffer.getvalue())
    return path


def _head(escape: str) -> bytes:
    import lark

    digest = hashlib.sha256(source(escape).encode()).hexdigest()
    return f"lark {lark.__version__} {digest}\n".encode()
