"""Texts of a document as words of an instruction, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from img_frontends.dockerfile.expand import ExpandError, expansion

_BARE = re.compile(
    r"(?!#|--|<<)[A-Za-z0-9_./:@%+,~*?=$\-]+\Z|[A-Za-z0-9_./:@%+,~*?=\-]*\$\{[A-Za-z0-9_:.-]+\}[\w./:@-]*\Z"
)
_ESCAPED = re.compile(r"\\[$\\]")
_NAMES = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_NESTED = re.compile(r"""(\$\{[A-Za-z_]\w*:?[-+?])("(?:[^"'\\{}$`]|\$\w+|\$\{\w+\})*"|'[^"'\\{}$`]*')\}""")
"""A variable whose other word is all in quotes, which a document does not need."""


def word(text: str) -> str:
    """The word that is expanded to what `text` says: itself, or in double quotes."""
    bare = _ESCAPED.sub("", text)
    unclosed = bare.count("${") > bare.count("}")  # quotes would stand in the way of the message
    return text if unclosed or _BARE.match(text) else f'"{_inside(text)}"'


def _inside(text: str) -> str:
    """Between double quotes a backslash acts on a quote, a ``$`` and a backslash; in a document not on a quote."""
    out: list[str] = []
    at = 0
    while at < len(text):
        one, two = text[at], text[at : at + 2]
        if two in ("\\$", "\\\\"):
            out.append(two)
            at += 2
            continue
        out.append({'"': '\\"', "\\": "\\\\" if two[1:] in ('"', "") else "\\"}.get(one, one))
        at += 1
    return "".join(out)


def said(written: str, escape: str) -> str | None:
    """The text of a document that comes to what the word `written` of an instruction comes to; None if none does."""
    found = _said(_NESTED.sub(lambda match: f"{match[1]}{match[2][1:-1]}}}", written), escape)
    if found is None or not same(written, escape, word(found)):
        return None
    return found


def _said(written: str, escape: str) -> str | None:
    out: list[str] = []
    at = 0
    quote = ""
    while at < len(written):
        one, follower = written[at], written[at + 1 : at + 2]
        if one == quote or (not quote and one in "'\""):
            quote = "" if quote else one
            at += 1
        elif one == "$" and quote != "'":
            end = _end(written, at)
            if end is None:
                return None
            out.append(written[at:end])
            at = end
        elif one == escape and quote != "'" and (not quote or follower in ('"', "$", escape)):
            out.append(_literal(follower, written[at + 2 : at + 3]))
            at += 2
        else:
            out.append(_literal(one, follower))
            at += 1
    return None if quote else "".join(out)


def _literal(one: str, follower: str) -> str:
    return f"\\{one}" if one in ("$", "\\") and (one == "$" or not follower or follower in "$\\'\"") else one


def _end(written: str, at: int) -> int | None:
    """Where a variable ends; None for one that needs quotes or escapes inside of its braces."""
    if written[at + 1 : at + 2] != "{":
        match = _NAMES.match(written, at)
        return match.end() if match else at + 1
    depth = 0
    for number in range(at + 1, len(written)):
        if written[number] == "{":
            depth += 1
        elif written[number] == "}":
            depth -= 1
            if depth == 0:
                inner = written[at : number + 1]
                return None if set(inner) & set("'\"\\`") else number + 1
    return None


def same(first: str, escape: str, second: str) -> bool:
    """Whether two words come to the same, with no variable set and with all of them set."""
    names = _NAMES.findall(first)
    settings: list[Mapping[str, str]] = [{}, dict.fromkeys(names, "a value"), dict.fromkeys(names, "")]
    return all(_result(first, given, escape) == _result(second, given, "\\") for given in settings)


def _result(text: str, given: Mapping[str, str], escape: str) -> str:
    try:
        return expansion(text, given, escape).text
    except ExpandError as error:
        return f"\0{error}"
