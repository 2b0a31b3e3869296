"""The key ``img-node`` of a package.json. Every key of it may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from img.errors import FrontendError
from img_node.document import Document

KEY = "img-node"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project says of its image."""

    base: str = ""
    """The image that the result stands on; empty: ``node:X-slim`` for the newest long-term X that the project allows."""
    build_base: str = ""
    """The image that builds it: Node.js, npm, and compilers if packages need them. Empty: `base`, or ``node:X``."""
    build: str = "build"
    """The script that builds the project, if it has one of that name; empty: none."""
    files: tuple[str, ...] = (".",)
    """What of the project is in the image."""
    command: tuple[str, ...] = ()
    """What the image runs instead of the script ``start``."""
    user: str = ""
    """Who runs it; empty: ``node`` of the official images, else a user ``app`` with the id 10001 that is made for it."""
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    expose: tuple[str, ...] = ()


def read_settings(document: Document) -> Settings:
    """Raises `FrontendError` with the place of the key that is wrong."""
    table = document.get(KEY)
    if table is None:
        return Settings()
    if not isinstance(table, dict):
        raise FrontendError(f"{KEY} must be an object", place=document.place(KEY))
    known = {one.name.replace("_", "-"): one for one in fields(Settings)}
    found: dict[str, Any] = {}
    for name, value in table.items():
        place = document.place(KEY, name)
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}"
            raise FrontendError(f"{KEY} has no key {name!r}", hint=hint, place=place)
        kind = str(known[name].type).partition("[")[0]
        try:
            found[known[name].name] = _READ[kind](value)
        except TypeError:
            raise FrontendError(f"{KEY}.{name} must be {_WORDS[kind]}", place=place) from None
    return Settings(**found)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\n" in value:
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


_READ: dict[str, Callable[[Any], Any]] = {"str": _text, "tuple": _texts, "Mapping": _pairs}
_WORDS = {"str": "text", "tuple": "a list of texts", "Mapping": "an object of texts"}
