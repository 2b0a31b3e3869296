"""The table ``tool.img-python`` of a pyproject.toml. Every key may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from img.errors import FrontendError
from img_python.document import Document

TABLE = ("tool", "img-python")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project says of its image."""

    base: str = ""
    """The image that the result stands on; empty: ``python:X.Y-slim`` for the newest X.Y that the project allows."""
    build_base: str = ""
    """The image that builds it; must have the same Python, with pip, at the same place. Empty: `base`, or ``python:X.Y``."""
    python: str = "python3"
    """The interpreter's name or path in both."""
    packages: tuple[str, ...] = ()
    """Debian packages of the result."""
    build_packages: tuple[str, ...] = ()
    """Debian packages for building: compilers, headers. Nothing of them is in the result."""
    lock: str = ""
    """The lock file, or ``none``; empty: the first that is there of uv.lock, poetry.lock, pylock.toml, requirements.txt."""
    extras: tuple[str, ...] = ()
    """Extras of the project to install."""
    package: bool | None = None
    """Whether to install the project itself; else its files are copied. None: if it has a build system or scripts."""
    files: tuple[str, ...] = (".",)
    """What to copy of a project that is not installed."""
    script: str = ""
    """Which of ``project.scripts`` the image runs."""
    command: tuple[str, ...] = ()
    """What the image runs instead of a script."""
    user: str = ""
    """Who runs it; empty: a user ``app`` with the id 10001 that is made for it."""
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    expose: tuple[str, ...] = ()


def read_settings(document: Document) -> Settings:
    """Raises `FrontendError` with the place of the key that is wrong."""
    table = document.get(*TABLE)
    if table is None:
        return Settings()
    if not isinstance(table, dict):
        raise FrontendError("tool.img-python must be a table", place=document.place(*TABLE))
    known = {one.name.replace("_", "-"): one for one in fields(Settings)}
    found: dict[str, Any] = {}
    for name, value in table.items():
        place = document.place(*TABLE, name)
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}"
            raise FrontendError(f"tool.img-python has no key {name!r}", hint=hint, place=place)
        kind = str(known[name].type).partition("[")[0].partition(" ")[0]
        try:
            found[known[name].name] = _READ[kind](value)
        except TypeError:
            raise FrontendError(f"tool.img-python.{name} must be {_WORDS[kind]}", place=place) from None
    return Settings(**found)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\n" in value:
        raise TypeError
    return value


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(str(item) if type(item) is int else _text(item) for item in value)


def _pairs(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError
    return {name: str(item) if type(item) is int else _text(item) for name, item in value.items()}


_READ: dict[str, Callable[[Any], Any]] = {"str": _text, "bool": _switch, "tuple": _texts, "Mapping": _pairs}
_WORDS = {"str": "text", "bool": "true or false", "tuple": "a list of texts", "Mapping": "a table of texts"}
