"""The patterns of ``${v#p}``, ``${v%p}`` and ``${v/p/r}``: ``*`` and ``?``, neither of which matches a line end.

A pattern is cut at its stars, and each piece looked for by itself; so time grows with pattern times text, never
faster. (One regular expression for the whole could take exponential time.) Results are those of Go's ``regexp``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_TEMPLATE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.A)


class GlobError(ValueError):
    """The pattern has an escape that means nothing, or its use makes a text that is too long."""


class Glob:
    """A pattern. Raises `GlobError`."""

    def __init__(self, pattern: str) -> None:
        self._pieces = _pieces(pattern)
        head, *rest = (_expression(piece) for piece in self._pieces)
        self._size = len(self._pieces[0])
        self._head = re.compile(head)
        self._lazy = [re.compile(".*?" + piece) for piece in rest]
        self._last = re.compile(".*" + rest[-1]) if rest else None

    def prefix(self, text: str, longest: bool) -> int | None:
        """Where a match that starts at the front of `text` ends; None if there is none."""
        match = self._head.match(text)
        return None if match is None else self._rest(text, match.end(), longest)

    def search(self, text: str, start: int) -> tuple[int, int] | None:
        """The first match from `start` on, as long as it can be."""
        match = self._head.search(text, start)
        while match is not None:
            end = self._rest(text, match.end(), True)
            if end is not None:
                return match.start(), end
            line_end = text.find("\n", match.end())
            if line_end < 0:
                return None
            match = self._head.search(text, max(match.start(), line_end - self._size) + 1)
        return None

    def _rest(self, text: str, at: int, longest: bool) -> int | None:
        """Every piece behind a star, each as early as it can be: if a later place would do, so does that."""
        for number, piece in enumerate(self._lazy, 1):
            final = longest and number == len(self._lazy)
            match = (self._last if final and self._last is not None else piece).match(text, at)
            if match is None:
                return None
            at = match.end()
        return at


def _pieces(pattern: str) -> list[list[str]]:
    """The tokens between the stars: ``.`` for any character, else a literal one."""
    pieces: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            if len(pieces) < 2 or pieces[-1]:
                pieces.append([])
        elif character == "?":
            pieces[-1].append(".")
        elif character == "\\":
            follower = pattern[at : at + 1]
            if follower and follower in "}/":
                continue
            if not follower or follower not in "*?\\":
                raise GlobError(f"invalid escape '\\{follower}' in the pattern")
            pieces[-1].append(re.escape(follower))
            at += 1
        else:
            pieces[-1].append(re.escape(character))
    return pieces


def _expression(piece: list[str]) -> str:
    return "".join(piece)


_glob = lru_cache(64)(Glob)


def strip_prefix(value: str, pattern: str, longest: bool) -> str:
    """``${v#p}`` and ``${v##p}``. Raises `GlobError`."""
    end = _glob(pattern).prefix(value, longest)
    return value if end is None else value[end:]


def strip_suffix(value: str, pattern: str, longest: bool) -> str:
    """``${v%p}`` and ``${v%%p}``: the same, seen from behind. Raises `GlobError`."""
    return strip_prefix(value[::-1], _reversed(pattern), longest)[::-1]


def replace_first(value: str, pattern: str, replacement: str) -> str:
    """``${v/p/r}``. Raises `GlobError`."""
    found = _glob(pattern).search(value, 0)
    return value if found is None else value[: found[0]] + replacement + value[found[1] :]


def replace_all(value: str, pattern: str, replacement: str, limit: int) -> str:
    """``${v//p/r}``. ``$0`` and ``${0}`` in the replacement are the match, other ``$name`` nothing, ``$$`` a dollar.

    Raises `GlobError`, also if the result gets longer than `limit`.
    """
    out: list[str] = []
    end = size = 0
    for start, stop in _matches(_glob(pattern), value):
        out.append(value[end:start])
        if stop > end or start == 0:
            out.append(_filled(replacement, value[start:stop]))
            size += len(out[-1])
            if size > limit:
                raise GlobError(f"the text becomes longer than {limit} characters")
        end = stop
    out.append(value[end:])
    return "".join(out)


def _matches(glob: Glob, value: str) -> Iterator[tuple[int, int]]:
    at = 0
    while at <= len(value):
        found = glob.search(value, at)
        if found is None:
            return
        yield found
        at = max(found[1], at + 1)


def _filled(template: str, whole: str) -> str:
    if "$" not in template:
        return template

    def filled(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return "$" if name is None else whole if name.strip("0") == "" else ""

    return _TEMPLATE.sub(filled, template)


def _reversed(pattern: str) -> str:
    """The pattern from behind, each escape still in front of what it escapes."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        size = 2 if pattern[at] == "\\" and at + 1 < len(pattern) else 1
        out.append(pattern[at : at + size])
        at += size
    return "".join(reversed(out))
