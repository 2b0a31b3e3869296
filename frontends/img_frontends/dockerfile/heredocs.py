"""Which words of an instruction begin a here-document, as BuildKit finds them.

The text is cut into shell words (quotes, ``\\`` and ``${…}`` hold words together, ``<<`` takes the blanks after it);
a word that matches ``^(\\d*)<<(-?)\\s*([^<]*)$`` and has a name is one. So ``<<<`` is none, nor are ``"<<x"`` and
``$((1<<2))``; in ``cat <<EOF|sh`` the name is ``EOF|sh``. Text with an unclosed quote has none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from img_frontends.dockerfile.expand import ExpandError, expansion

INSTRUCTIONS = ("RUN", "COPY", "ADD")

_HEREDOC = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)\Z")


class Opening(NamedTuple):
    """The word that begins a here-document. `offset` is where it stands."""

    name: str
    expand: bool
    chomp: bool
    fd: int
    offset: int


def opening(word: str, offset: int = 0) -> Opening | None:
    """What `word` begins, if it begins a here-document."""
    match = _HEREDOC.match(word)
    if match is None or not match[3]:
        return None
    try:
        plain = expansion(match[3], {}, keep_unset=True).words
        quoted = _quoted(match[3])
    except ExpandError:
        return None
    if len(plain) != 1:
        return None
    return Opening(plain[0], not quoted, match[2] == "-", int(match[1][-9:] or 0), offset)


def _quoted(name: str) -> bool:
    """Whether a quote of `name` is one, and not escaped."""
    at = 0
    while at < len(name):
        if name[at] in "\"'":
            return True
        at += 2 if name[at] == "\\" else 1
    return False


def openings(text: str) -> list[Opening]:
    """All of an instruction's text, in order."""
    if "<<" not in text:
        return []
    try:
        words = expansion(text, {}, keep_unset=True, verbatim=True).words
    except ExpandError:
        return []
    found: list[Opening] = []
    at = 0
    for word in words:
        start = text.find(word, at)
        if start >= 0:
            at = start + len(word)
        one = opening(word, max(start, 0)) if "<<" in word else None
        if one is not None:
            found.append(one)
    return found
