"""A JSON file with the places of what stands in it, for errors."""

from __future__ import annotations

import json
import re
from typing import Any

from img.errors import FrontendError, Place


class Document:
    """`table` is the whole file. Raises `FrontendError` for one that is not a JSON object."""

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        self._text = data.decode("utf-8-sig", "replace")
        try:
            self.table: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            message = f"{file} is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
            raise FrontendError(message, place=self._place(error.pos)) from None
        except (UnicodeDecodeError, RecursionError):
            raise FrontendError(f"{file} is not JSON in UTF-8", place=Place(file, 1)) from None
        if not isinstance(self.table, dict):
            raise FrontendError(f"{file} is not a JSON object", place=self._place(0))

    def get(self, *path: str) -> Any:
        """The value at a path of keys; None if there is none."""
        found: Any = self.table
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def texts(self, *path: str) -> dict[str, str]:
        """The table of texts at a path, empty if there is none. Raises `FrontendError` for anything else."""
        found = self.get(*path)
        found = {} if found is None else found
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise FrontendError(f"{'.'.join(path)} must be an object of texts", place=self.place(*path))
        return found

    def place(self, *path: str) -> Place:
        """The key at `path`, as far as it is there."""
        at = 0
        for name in path:
            match = re.compile(re.escape(json.dumps(name)) + r"\s*:").search(self._text, at)
            if match is None:
                break
            at = match.start() + 1
        return self._place(max(at - 1, 0))

    def _place(self, at: int) -> Place:
        line = self._text.count("\n", 0, at) + 1
        start = self._text.rfind("\n", 0, at) + 1
        text = self._text[start:].partition("\n")[0]
        return Place(self.file, line, at - start + 1, line, text)
