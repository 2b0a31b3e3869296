"""TOML files with one clear error for each thing that may be wrong in them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from img.errors import UsageError

MAX_FILE = 4 << 20


def read(path: Path) -> dict[str, Any] | None:
    """The document, None if there is no such file. Raises `UsageError`."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise UsageError(f"{path} is larger than the {MAX_FILE} bytes allowed for a configuration file")
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}", hint="check its owner and mode") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


class Table:
    """One table of a file; `where` names it in messages. What is asked for by type is checked."""

    def __init__(self, document: Any, path: Path, where: str) -> None:
        self._path = path
        self._where = where
        if not isinstance(document, dict):
            raise self.wrong(f"{where} is not a table")
        self._document: Mapping[str, Any] = document

    def wrong(self, message: str, hint: str = "") -> UsageError:
        return UsageError(f"{self._path}: {message}", hint=hint)

    def __contains__(self, key: str) -> bool:
        return key in self._document

    def only(self, known: Sequence[str]) -> None:
        """Raises `UsageError` for a key that is not `known`."""
        for key in self._document:
            if key not in known:
                raise self.wrong(f"{self._where} has no key {key!r}", hint=f"it has: {', '.join(known)}")

    def text(self, key: str, default: str = "") -> str:
        value = self._document.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(f"{self._where}.{key} is not text: {value!r}")
        return value

    def flag(self, key: str) -> bool | None:
        value = self._document.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"{self._where}.{key} is neither true nor false: {value!r}")
        return value

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        value = self.text(key) or default
        if value not in choices:
            raise self.wrong(f"{self._where}.{key} can't be {value!r}", hint=f"one of {', '.join(choices)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"{self._where}.{key} is not a list of texts")
        return tuple(value)

    def items(self, key: str) -> list[Any]:
        value = self._document.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(f"{self._where}.{key} is not a list")
        return value

    def tables(self, key: str) -> list[Table]:
        """An array of tables (``[[key]]``)."""
        return [Table(item, self._path, f"{key}[{number}]") for number, item in enumerate(self.items(key))]

    def named(self, key: str) -> dict[str, Table]:
        """Tables by name (``[key."NAME"]``)."""
        value = self._document.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(f"{self._where}.{key} is not a table of tables")
        return {name: Table(item, self._path, f'{key}."{name}"') for name, item in value.items()}

    def location(self, key: str, text: str) -> str:
        """A ``HOST[:PORT][/PATH]``, without a slash at its end."""
        if "://" in text:
            raise self.wrong(f"{self._where}.{key} {text!r} has a scheme", hint="write HOST[:PORT][/PATH]")
        host = text.partition("/")[0]
        if not host or any(character.isspace() for character in text) or "@" in text:
            raise self.wrong(f"{self._where}.{key} {text!r} is not HOST[:PORT][/PATH]")
        return text.rstrip("/")
