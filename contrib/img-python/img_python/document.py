"""A TOML file with the places of what stands in it, for errors."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from img.errors import FrontendError, Place


class Document:
    """`table` is the whole file. Raises `FrontendError` for one that is not TOML."""

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        try:
            self._lines = data.decode("utf-8").splitlines()
            self.table: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise FrontendError(f"{file} is not UTF-8", place=Place(file, line)) from None
        except tomllib.TOMLDecodeError as error:
            match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
            line, column = (int(match[1]), int(match[2])) if match else (max(len(self._lines), 1), 1)
            message = str(error).partition(" (at ")[0]
            raise FrontendError(f"{file} is not TOML: {message}", place=self._place(line, column)) from None

    def get(self, *path: str) -> Any:
        """The value at a path of keys; None if there is none."""
        found: Any = self.table
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def place(self, *path: str) -> Place:
        """The line of the key at `path`, of its table if it has none of its own, else the first line."""
        for length in range(len(path), 0, -1):
            line = self._line(path[:length])
            if line:
                return self._place(line)
        return self._place(1)

    def place_of_item(self, array: str, index: int) -> Place:
        """The line of the item `index` of the array of tables ``[[array]]``."""
        header = re.compile(rf"\s*\[\[\s*{re.escape(array)}\s*\]\]")
        lines = [number for number, line in enumerate(self._lines, 1) if header.match(line)]
        return self._place(lines[index] if index < len(lines) else 1)

    def _line(self, path: tuple[str, ...]) -> int:
        """The line of a key below the header of its table, or of a header itself; 0 for none."""
        above: tuple[str, ...] = ()
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*\[\[?([^\[\]]+)\]", line)
            if header:
                above = _keys(header[1])
                if above == path:
                    return number
            key = re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line)
            if key and (*above, *_keys(key[1])) == path:
                return number
        return 0

    def _place(self, line: int, column: int = 0) -> Place:
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        return Place(self.file, line, column or 1 + len(text) - len(text.lstrip()), line, text)


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
