"""TOML to values. The standard library reads and checks it; `positions` says where everything stands."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from img.errors import FrontendError, Place
from img_frontends.document.values import DEPTH, NODES, Entry, Text, Tree, Value, decoded
from img_frontends.toml.positions import Path, Spots, positions

TABLE = ("tool", "img")
"""Where a document stands in a pyproject.toml."""

_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|(end of document))\)", re.S)


def read_toml(data: bytes, file: str) -> Tree:
    """The document of a TOML file; of a pyproject.toml its table ``tool.img``. Raises `FrontendError`."""
    text = Text(file, decoded(data, file))
    source = "\n".join(text.rows)
    try:
        found: Any = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(error, text) from None
    except (RecursionError, ValueError):
        what = f"the document can't be read: nested more than {DEPTH} deep, or a number of too many digits"
        raise FrontendError(what, place=Place(file, 1)) from None
    spots = positions(source.replace("\r\n", "\n"))
    path: Path = ()
    if is_project(file):
        for name in TABLE:
            path = (*path, name)
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            hint = "write the document there, or name another file with -f"
            raise FrontendError(f"{file} has no table [{'.'.join(TABLE)}]", hint=hint, place=Place(file, 1))
    return Tree(text, _Reader(text, spots).value(found, path))


def is_project(file: str) -> bool:
    """Whether the file holds more than a document."""
    return file.replace("\\", "/").rpartition("/")[2] == "pyproject.toml"


def _not_toml(error: tomllib.TOMLDecodeError, text: Text) -> FrontendError:
    match = _PLACE.match(str(error))
    message = match[1] if match else str(error)
    end = (len(text.rows), len(text.rows[-1]) + 1)
    line, column = (int(match[2]), int(match[3])) if match and match[2] else end
    return FrontendError(f"no TOML: {message[:1].lower()}{message[1:]}", place=text.place(line, column))


class _Reader:
    def __init__(self, text: Text, spots: Spots) -> None:
        self._text = text
        self._spots = spots
        self._count = 0

    def value(self, found: Any, path: Path) -> Value:
        """Raises `FrontendError`."""
        line, column = self._spots.values.get(path, self._spots.keys.get(path, (1, 1)))
        self._count += 1
        if self._count > NODES or len(path) > DEPTH:
            what = f"the document is too large: more than {NODES} values, or nested more than {DEPTH} deep"
            raise FrontendError(what, place=self._text.place(line, column))
        if isinstance(found, dict):
            entries = []
            for name, inner in found.items():
                at = self._spots.keys.get((*path, name), (line, column))
                entries.append(Entry(name, *at, self.value(inner, (*path, name))))
            return Value("table", tuple(entries), line, column)
        if isinstance(found, list):
            items = tuple(self.value(inner, (*path, number)) for number, inner in enumerate(found))
            return Value("list", items, line, column)
        if isinstance(found, str | bool | int | float):
            return Value("scalar", found, line, column)
        what = "dates and times are not taken"
        raise FrontendError(what, hint=f'quote it: "{found}"', place=self._text.place(line, column))
