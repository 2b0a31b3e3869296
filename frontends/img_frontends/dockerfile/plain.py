"""Instructions that need no grammar: without quotes and escape characters. Most are; lark is not even imported then.

`tokens` answers for a part of the inputs only, and where it does, it says what ``dockerfile.lark`` says: a test holds
the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from img_frontends.dockerfile.flags import NotStrings, strings
from img_frontends.dockerfile.space import BLANK_CLASS, BLANKS, GAP_CLASS

_OLD = re.compile(rf"([^{GAP_CLASS}]+)[{GAP_CLASS}]+([^{GAP_CLASS}][\s\S]*)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')

Tokens = list[tuple[str, str, int]]
"""(kind, text, offset) of each token."""

_FLAG = re.compile(rf"""(--[^{BLANK_CLASS}"'\\]+)[{BLANK_CLASS}]*""")
_PLAIN = re.compile(rf"[^{GAP_CLASS}]+")
_WORD = re.compile(rf"[^{BLANK_CLASS}]+")


def tokens(start: str, text: str, escape: str) -> Tokens | None:
    """The tokens of `text` in the form `start`; None if only the grammar knows."""
    if not text and start not in _NEVER_EMPTY:
        return []
    if text[:1] in BLANKS or text[-1:] in BLANKS:
        return None
    found: Tokens = []
    at = 0
    while text.startswith("--", at):
        match = _FLAG.match(text, at)
        if match is None or (match.end() < len(text) and match.end() == match.end(1)):
            return None
        found.append(("FLAG", match[1], at))
        at = match.end()
    rest = _FORMS[start](text, at, escape) if at < len(text) or start in _NEVER_EMPTY else []
    return None if rest is None else found + rest


def _text(text: str, at: int, escape: str) -> Tokens:
    return [("LINE", text[at:], at)]


def _words(text: str, at: int, escape: str) -> Tokens:
    return [("PLAIN", match[0], match.start()) for match in _PLAIN.finditer(text, at)]


def _pairs(text: str, at: int, escape: str) -> Tokens | None:
    if "'" in text or '"' in text or escape in text:
        return None
    return [("WORD", match[0], match.start()) for match in _WORD.finditer(text, at)]


def _legacy(text: str, at: int, escape: str) -> Tokens | None:
    match = _OLD.match(text, at)
    return None if match is None else [("FIRST", match[1], at), ("TAIL", match[2], match.start(2))]


def _exec(text: str, at: int, escape: str) -> Tokens | None:
    try:
        if strings(text[at:]) is None:
            return None
    except NotStrings:
        return None
    return [("STRING", match[0], match.start()) for match in _STRING.finditer(text, at)]


_NEVER_EMPTY = ("exec", "legacy")
_FORMS: dict[str, Callable[[str, int, str], Tokens | None]] = {
    "text": _text,
    "words": _words,
    "pairs": _pairs,
    "legacy": _legacy,
    "exec": _exec,
}


def open_quote(text: str, escape: str) -> int | None:
    """Where the quote stands that the first words of `text` do not close."""
    quote, start, at = "", 0, 0
    while at < len(text):
        character = text[at]
        if character == escape and quote != "'":
            at += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote, start = character, at
        at += 1
    return start if quote else None
