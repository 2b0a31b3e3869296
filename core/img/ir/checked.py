"""What a program hands over, checked at once: a wrong type is an error where it was said, not deep in a build."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from img.errors import UsageError


def text(value: Any, what: str, empty: bool = False) -> str:
    """`value` if it is text without NUL; not empty unless `empty`. Raises `UsageError`."""
    if not isinstance(value, str):
        raise UsageError(f"{what} is text, not {kind(value)}")
    if "\0" in value:
        raise UsageError(f"{what} has a NUL in it: {value!r}")
    if not value and not empty:
        raise UsageError(f"{what} is empty")
    return value


def path(value: Any, what: str, empty: bool = False) -> str:
    """A path: text, or what has a file's path. Raises `UsageError`."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return text(value, what, empty)


def texts(values: Any, what: str) -> tuple[str, ...]:
    """A sequence of texts; text alone is not one. Raises `UsageError`."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UsageError(f"{what} is a sequence of texts, not {kind(values)}", hint='e.g. ["one", "two"]')
    return tuple(text(value, f"each of {what}", empty=True) for value in values)


def command(value: Any, what: str) -> str | tuple[str, ...]:
    """Text for the shell, or an argv. Raises `UsageError`."""
    if isinstance(value, str):
        return text(value, what)
    if isinstance(value, bytes) or not isinstance(value, Sequence):
        raise UsageError(f"{what} is text for the shell or a sequence of texts, not {kind(value)}")
    argv = texts(value, what)
    if not argv:
        raise UsageError(f"{what} is empty", hint='e.g. "make all", or ["make", "all"]')
    return argv


def variables(values: Mapping[str, Any], what: str) -> dict[str, str]:
    """Variables by name. Raises `UsageError`."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{what} is a mapping of names to texts, not {kind(values)}")
    for name in values:
        if "=" in text(name, f"a name in {what}"):
            raise UsageError(f"a name in {what} has = in it: {name!r}")
    return {name: text(value, f"{what}[{name!r}]", empty=True) for name, value in values.items()}


def octal(value: Any, what: str) -> str:
    """A mode as Copy has it: a number becomes octal text, text stays; None is empty. Raises `UsageError`."""
    if value is None or value == "":
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= 0o7777:
            raise UsageError(f"{what} is a mode up to 0o7777, not {value:#o}")
        return f"{value:04o}"
    from img.errors import FileError
    from img.files.modes import Mode

    try:
        Mode.parse(text(value, what))
    except FileError as error:
        raise UsageError(f"{what}: {error.message}", hint=error.hint) from None
    return str(value)


def kind(value: Any) -> str:
    """What a value is, for messages."""
    return "None" if value is None else type(value).__name__
