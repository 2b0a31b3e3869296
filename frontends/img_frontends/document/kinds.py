"""What the value of a key may be. A kind is data: `bind` reads by it, `plain` writes by it, `schema` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any

from img.errors import Place

Pairs = tuple[tuple[str, str | None], ...]
"""A table as it stands: its order counts, since the image's history shows it."""
Places = Mapping[str, Place]
"""Where the parts of a value stand, by key; ``""`` is the whole, ``paths.0`` the first of a list."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string. Whole numbers and booleans are taken as they are written; a fraction has to be quoted (3.10 is 3.1)."""

    pattern: str = ""
    said: str = "a text"
    strict: bool = False
    """Numbers are refused unless they are written with a leading zero: for modes."""


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` on."""

    least: int = 0


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few texts."""

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list. With `lone`, one item may stand for a list of it."""

    item: Kind
    lone: bool = False
    least: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Names with texts. `bare` names may have none; with `listed`, a list of ``name`` and ``name=text`` is taken as well."""

    bare: bool = False
    listed: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Lists:
    """Names, each with a text or a list of texts."""


@dataclass(frozen=True, slots=True)
class Named:
    """Names, each with a value of one kind."""

    item: Kind
    pattern: str = ""
    said: str = "a name"


@dataclass(frozen=True, slots=True)
class Command:
    """A text for the shell, or a list of words that is run as it is."""


@dataclass(frozen=True, slots=True)
class Record:
    """A table with known keys, made into `type`. `short` is the key that a plain text (or list) stands for; `listed` says
    that a list is ``paths`` and then ``to``."""

    type: type[Any]
    short: str = ""
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Tagged:
    """A table in which exactly one of these keys stands. As a field it shares its table with the other fields."""

    choices: tuple[tuple[str, Kind, str], ...]
    """Key, kind, and what it says to people."""

    def kind(self, key: str) -> Kind:
        return next(kind for name, kind, _ in self.choices if name == key)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.choices)


Kind = Text | Flag | Whole | OneOf | Many | Table | Lists | Named | Command | Record | Tagged


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a record: its name in the file, the field's name, its kind, and what it says."""

    name: str
    attribute: str
    kind: Kind
    words: str
    default: Any
    required: bool
    spread: bool


def key(
    kind: Kind, words: str, default: Any = MISSING, name: str = "", spread: bool = False, named: bool = False
) -> Any:
    """A dataclass field that is a key of a document. Without a default it has to be there. A `spread` field's keys stand
    in the table of the record itself. A `named` one is given to the class by name only."""
    metadata = {"kind": kind, "words": words, "name": name, "spread": spread}
    if default is MISSING:
        return field(metadata=metadata, kw_only=named)
    return field(default=default, metadata=metadata)


def places() -> Any:
    """The field that says where a record stands; no part of its value."""
    return field(default_factory=dict, compare=False, repr=False, kw_only=True)


def keys(type: type[Any]) -> tuple[Key, ...]:
    """The keys of a record."""
    record: Any = type  # a class is hashable, which mypy does not see of one whose objects are not
    return _keys(record)


@cache
def _keys(record: Any) -> tuple[Key, ...]:
    return tuple(
        Key(
            one.metadata["name"] or one.name.replace("_", "-"),
            one.name,
            one.metadata["kind"],
            one.metadata["words"],
            None if one.default is MISSING else one.default,
            one.default is MISSING,
            one.metadata["spread"],
        )
        for one in fields(record)
        if "kind" in one.metadata
    )
