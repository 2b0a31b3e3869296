"""Where the keys and values of a TOML text stand. The text has been read by tomllib, so it is known to be right."""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple

Path = tuple[str | int, ...]
Spot = tuple[int, int]
"""Line and column, from 1."""

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\"]|\\[\s\S]|"(?!""))*"{3,5}' r"|'''[\s\S]*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'"
)
_OTHER = re.compile(r"[^\s,\]}#][^,\]}#\n]*")


class Spots(NamedTuple):
    """The place of each key, and of each value, by path: names, and numbers in lists."""

    keys: dict[Path, Spot]
    values: dict[Path, Spot]


def positions(text: str) -> Spots:
    """The places of everything in a TOML text."""
    scanner = _Scanner(text)
    scanner.run()
    return scanner.spots


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._arrays: dict[Path, int] = {}
        """How many tables each array of tables has so far."""
        self.spots = Spots({}, {})

    def run(self) -> None:
        """The whole text."""
        above: Path = ()
        while True:
            self._skip(_SPACE)
            if self._at >= len(self._text):
                return
            if self._text[self._at] == "[":
                above = self._header()
            else:
                self._pair(above)

    def _header(self) -> Path:
        """``[a.b]`` or ``[[a.b]]``: the path that what follows is below of."""
        start = self._at
        double = self._text.startswith("[[", start)
        self._at += 2 if double else 1
        names = self._names()
        self._skip(_BLANKS)
        self._at += 2 if double else 1
        path = self._below((), [name for name, _ in names[:-1]], names)
        path = (*path, names[-1][0])
        self.spots.keys.setdefault(path, self._spot(names[-1][1]))
        if double:
            self.spots.values.setdefault(path, self._spot(start))
            number = self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, number)
        self.spots.values[path] = self._spot(start)
        return path

    def _below(self, path: Path, names: list[str], spots: list[tuple[str, int]]) -> Path:
        """The path that dotted names lead to, through the last table of each array of tables."""
        for name, (_, start) in zip(names, spots, strict=False):
            path = (*path, name)
            self.spots.keys.setdefault(path, self._spot(start))
            self.spots.values.setdefault(path, self._spot(start))
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _pair(self, above: Path) -> None:
        names = self._names()
        path = self._below(above, [name for name, _ in names[:-1]], names)
        path = (*path, names[-1][0])
        self.spots.keys[path] = self._spot(names[-1][1])
        self._skip(_BLANKS)
        self._at += 1  # the equals sign
        self._skip(_BLANKS)
        self._value(path)

    def _names(self) -> list[tuple[str, int]]:
        """A dotted key: each name and where it begins."""
        found: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANKS)
            start = self._at
            pattern = _STRING if self._text[start] in "\"'" else _BARE
            match = pattern.match(self._text, start)
            assert match is not None
            self._at = match.end()
            found.append((_unquoted(match[0]), start))
            self._skip(_BLANKS)
            if not self._text.startswith(".", self._at):
                return found
            self._at += 1

    def _value(self, path: Path) -> None:
        self.spots.values[path] = self._spot(self._at)
        first = self._text[self._at]
        if first == "[":
            self._list(path)
        elif first == "{":
            self._table(path)
        else:
            match = (_STRING if first in "\"'" else _OTHER).match(self._text, self._at)
            assert match is not None
            self._at = match.end()

    def _list(self, path: Path) -> None:
        self._at += 1
        number = 0
        while True:
            self._skip(_SPACE)
            if self._text[self._at] == "]":
                break
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._value((*path, number))
            number += 1
        self._at += 1

    def _table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_SPACE)
            if self._text[self._at] == "}":
                break
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _spot(self, offset: int) -> Spot:
        from bisect import bisect_right

        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


def _unquoted(text: str) -> str:
    if text[0] == "'":
        return text[1:-1]
    if text[0] == '"':
        try:
            found: str = tomllib.loads(f"key = {text}")["key"]
        except tomllib.TOMLDecodeError:
            return text
        return found
    return text
