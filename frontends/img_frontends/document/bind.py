"""From values to the model. Every problem has a place, the path of its key, and what is allowed there."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

from img.errors import FrontendError, Place
from img_frontends.common.problems import joined
from img_frontends.document.kinds import (
    Command,
    Flag,
    Key,
    Kind,
    Lists,
    Many,
    Named,
    OneOf,
    Record,
    Table,
    Tagged,
    Text,
    Whole,
    keys,
)
from img_frontends.document.model import Document, Setting, Stage, Step
from img_frontends.document.values import Entry, Tree, Value

MOST = 20
"""How many problems are told."""

_WORDS = {"scalar": "a text", "list": "a list", "table": "a table"}


def bind(tree: Tree, above: str = "") -> Document:
    """The document of a read file. `above` is what the paths of keys begin with, e.g. ``tool.img``.

    Raises one `FrontendError` for all independent problems.
    """
    reader = _Binder(tree)
    document = reader.document(tree.root, above)
    if reader.problems:
        raise joined(reader.problems[:MOST])
    assert document is not None
    return document


def near(name: str, known: tuple[str, ...], what: str) -> str:
    """A hint: the nearest of the known names, else all of them."""
    found = get_close_matches(name.lower()[:40], known, 1)
    return f"did you mean {found[0]}?" if found else f"{what}: {', '.join(known) or 'none'}"


class _Binder:
    def __init__(self, tree: Tree) -> None:
        self._text = tree.text
        self.problems: list[FrontendError] = []

    # --- problems ----------------------------------------------------------------------------------------------------

    def _place(self, value: Value | Entry) -> Place:
        return self._text.place(value.line, value.column)

    def _wrong(self, path: str, value: Value | Entry, message: str, hint: str = "") -> FrontendError:
        return FrontendError(f"{path}: {message}" if path else message, hint=hint, place=self._place(value))

    def _tried(self, act: Callable[[], Any]) -> Any:
        """What `act` returns; None if it raises, which is kept."""
        try:
            return act()
        except _Told:
            return None
        except FrontendError as error:
            self.problems.append(error)
            return None

    # --- the whole -----------------------------------------------------------------------------------------------

    def document(self, root: Value, above: str) -> Document | None:
        """A document, which may be a single stage at the same time."""
        return self._tried(lambda: self._document(root, above))  # type: ignore[no-any-return]

    def _document(self, root: Value, above: str) -> Document:
        if root.kind != "table":
            hint = "e.g. from: debian:bookworm, then steps:"
            raise self._wrong(above, root, f"a document is a table of keys, not {_WORDS[root.kind]}", hint)
        own = tuple(one.name for one in keys(Document))
        inner = tuple(name for name in _names(Stage) if name not in own)
        mine = tuple(entry for entry in root.entries if entry.name in own)
        rest = tuple(entry for entry in root.entries if entry.name not in own)
        known = (*own, *inner)
        fields = self._fields(Document, Value("table", mine, root.line, root.column), above, known)
        stage = None
        stages = next((entry for entry in mine if entry.name == "stages"), None)
        if rest or not any(entry.name in ("stages", "include") for entry in mine):
            if stages is not None and any(entry.name in inner for entry in rest):
                first = next(entry for entry in rest if entry.name in inner)
                hint = "put it into one of the stages"
                raise self._wrong(_join(above, first.name), first, "a document with stages can't be one itself", hint)
            table = Value("table", rest, root.line, root.column)
            stage = self._record(Stage, table, above, known)
        if stage is not None and stages is None:
            fields["stages"] = (("", stage),)
        return Document(**fields, comments=self._text.head())

    # --- kinds ---------------------------------------------------------------------------------------------------

    def value(self, kind: Kind, value: Value, path: str) -> Any:
        """`value` as its kind says. Raises `FrontendError`."""
        match kind:
            case Text():
                return self._checked(kind, self._plain(kind, value, path), value, path)
            case Flag():
                if not isinstance(value.scalar, bool):
                    raise self._unlike(value, path, "true or false")
                return value.scalar
            case Whole():
                number = value.scalar
                if not isinstance(number, int) or isinstance(number, bool) or number < kind.least:
                    raise self._unlike(value, path, f"a whole number from {kind.least} on")
                return number
            case OneOf():
                text = self._plain(Text(), value, path)
                if text not in kind.choices:
                    close = get_close_matches(text, kind.choices, 1)
                    hint = f"did you mean {close[0]}?" if close else ""
                    raise self._wrong(path, value, f"it can't be {text[:80]!r}; it is one of {_or(kind.choices)}", hint)
                return text
            case Command():
                if value.kind == "list":
                    return tuple(self._each(Text(), value, path))
                return self._plain(Text(), value, path, "a text, or a list of texts")
            case Many():
                return self._many(kind, value, path)
            case Table():
                return self._pairs(kind, value, path)
            case Lists():
                return self._lists(value, path)
            case Named():
                return self._named(kind, value, path)
            case Record():
                return self._short(kind, value, path)
            case Tagged():
                return self._tagged(kind, value, path)

    def _unlike(self, value: Value, path: str, wanted: str) -> FrontendError:
        shown = _WORDS[value.kind]
        if value.kind == "scalar":
            shown = "nothing" if value.scalar is None else repr(value.written or value.scalar)[:80]
        return self._wrong(path, value, f"expected {wanted}, not {shown}")

    def _plain(self, kind: Text, value: Value, path: str, wanted: str = "") -> str:
        found = value.scalar
        if isinstance(found, str):
            if "\0" in found:
                raise self._wrong(path, value, "it has a character of code 0")
            return found
        if isinstance(found, bool) and not kind.strict:
            return "true" if found else "false"
        if isinstance(found, int) and (not kind.strict or value.written.startswith("0")):
            return value.written or str(found)
        if isinstance(found, int | float) and not isinstance(found, bool):
            shown = value.written or str(found)
            why = "the number would lose its form" if isinstance(found, float) else f"expected {kind.said}"
            raise self._wrong(path, value, f"{shown} is a number; {why}", f'quote it: "{shown}"')
        raise self._unlike(value, path, wanted or kind.said)

    def _checked(self, kind: Text, text: str, value: Value, path: str) -> str:
        if kind.pattern and "$" not in text and not re.fullmatch(kind.pattern, text):
            raise self._wrong(path, value, f"expected {kind.said}, not {text[:80]!r}")
        return text

    def _each(self, kind: Kind, value: Value, path: str) -> list[Any]:
        """The items of a list; those that are wrong are kept as problems."""
        found = []
        for number, item in enumerate(value.items):
            before = len(self.problems)
            made = self._tried(partial(self.value, kind, item, f"{path}[{number}]"))
            if len(self.problems) == before:
                found.append(made)
        return found

    def _many(self, kind: Many, value: Value, path: str) -> tuple[Any, ...]:
        if value.kind != "list":
            if kind.lone and value.kind == "scalar" and value.scalar is not None:
                return (self.value(kind.item, value, path),)
            raise self._unlike(value, path, "a list")
        if len(value.items) < kind.least:
            raise self._wrong(path, value, "the list is empty", "leave the key out")
        return tuple(self._each(kind.item, value, path))

    def _pairs(self, kind: Table, value: Value, path: str) -> tuple[tuple[str, str | None], ...]:
        if kind.listed and value.kind != "table":
            texts = self.value(Many(Text(), lone=True, least=1), value, path)
            parts = [text.partition("=") for text in texts]
            self._check_names(kind, [(name, value) for name, _, _ in parts], path)
            if len({name for name, _, _ in parts}) < len(parts):
                raise self._wrong(path, value, "a name is given twice")
            return tuple((name, text if equals else None) for name, equals, text in parts)
        if value.kind != "table":
            raise self._unlike(value, path, "a table of names and texts")
        if not value.entries:
            raise self._wrong(path, value, "the table is empty", "leave the key out")
        self._check_names(kind, [(entry.name, entry) for entry in value.entries], path)
        return tuple((entry.name, self._pair(kind, entry, _join(path, entry.name))) for entry in value.entries)

    def _pair(self, kind: Table, entry: Entry, path: str) -> str | None:
        if kind.bare and entry.value.kind == "scalar" and entry.value.scalar is None:
            return None
        return self._tried(lambda: self._plain(Text(), entry.value, path))  # type: ignore[no-any-return]

    def _check_names(self, kind: Table, names: list[tuple[str, Any]], path: str) -> None:
        for name, where in names:
            if not name or (kind.pattern and not re.fullmatch(kind.pattern, name)) or re.search(r"[=\s]", name):
                hint = "letters, digits and _" if kind.pattern else "no blanks and no ="
                raise self._wrong(path, where, f"{name[:80]!r} can't be a name here", hint)

    def _lists(self, value: Value, path: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        if value.kind != "table":
            raise self._unlike(value, path, "a table of names, each with a text or a list of texts")
        kind = Many(Text(), lone=True, least=1)
        return tuple((entry.name, self.value(kind, entry.value, _join(path, entry.name))) for entry in value.entries)

    def _named(self, kind: Named, value: Value, path: str) -> tuple[tuple[str, Any], ...]:
        if value.kind != "table":
            raise self._unlike(value, path, "a table of names")
        found: list[tuple[str, Any]] = []
        for entry in value.entries:
            where = _join(path, entry.name)
            if kind.pattern and not re.fullmatch(kind.pattern, entry.name):
                self.problems.append(self._wrong(where, entry, f"expected {kind.said}, not {entry.name[:80]!r}"))
                continue
            item = self._tried(partial(self._item, kind.item, entry, where))
            if item is not None:
                found.append((entry.name, item))
        return tuple(found)

    def _item(self, kind: Kind, entry: Entry, path: str) -> Any:
        made = self.value(kind, entry.value, path)
        if isinstance(made, Stage):
            from dataclasses import replace

            places = {**made.at, "": self._place(entry)}
            return replace(made, comments=self._text.comments(entry.line, entry.column), at=places)
        return made

    # --- records -------------------------------------------------------------------------------------------------

    def _short(self, kind: Record, value: Value, path: str) -> Any:
        if kind.listed and value.kind == "list":
            words = self._each(Text(), value, path)
            if len(words) < 2:
                raise self._wrong(path, value, "a list has the sources, and the destination last", "e.g. [src, /app/]")
            at = {"": self._place(value), "to": self._place(value.items[-1])}
            at |= {f"paths.{number}": self._place(item) for number, item in enumerate(value.items[:-1])}
            return kind.type(paths=tuple(words[:-1]), to=words[-1], at=at)
        if kind.short and value.kind != "table":
            inner = next(one for one in keys(kind.type) if one.attribute == kind.short)
            if value.scalar is None and value.kind == "scalar" and not inner.required:
                return kind.type(at={"": self._place(value)})
            made = self.value(inner.kind, value, path)
            at = {"": self._place(value), inner.name: self._place(value), **self._inner(inner.name, value)}
            return kind.type(**{kind.short: made}, at=at)
        if value.kind != "table":
            raise self._unlike(value, path, f"a table with {_listed(_names(kind.type))}")
        return self._record(kind.type, value, path, _names(kind.type))

    def _record(self, type: type[Any], value: Value, path: str, known: tuple[str, ...]) -> Any:
        before = len(self.problems)
        fields = self._fields(type, value, path, known)
        missing = [one for one in keys(type) if one.required and one.attribute not in fields]
        if missing:
            if len(self.problems) > before:
                raise _Told()
            one = missing[0]
            if one.spread:
                raise self._wrong(path, value, f"it says nothing to do; it has one of {_or(_tags(one.kind))}")
            raise self._wrong(path, value, f"the key {one.name} is missing", one.words)
        made = type(**fields)
        if type is Step:
            from dataclasses import replace

            return replace(made, comments=self._text.comments(value.line, value.column))
        return made

    def _fields(self, type: type[Any], value: Value, path: str, known: tuple[str, ...]) -> dict[str, Any]:
        """The fields of a record that its table says, and their places."""
        fields: dict[str, Any] = {}
        at = {"": self._place(value)}
        by_name = {name: one for one in keys(type) for name in (_tags(one.kind) if one.spread else (one.name,))}
        for entry in value.entries:
            one = by_name.get(entry.name)
            where = _join(path, entry.name)
            if one is None:
                if entry.name not in known or type is not Document:
                    hint = near(entry.name, known, "keys here")
                    self.problems.append(self._wrong(where, entry, f"unknown key {entry.name[:80]!r}", hint))
                continue
            at[entry.name] = self._place(entry.value)
            at |= self._inner(entry.name, entry.value)
            before = len(self.problems)
            made = self._tried(partial(self._field, one, entry, where))
            if len(self.problems) > before and made is None:
                continue
            self._keep(fields, one, made, entry, value, path)
        for one in keys(type):
            if one.spread and one.default == () and one.attribute in fields:
                order = _tags(one.kind)
                fields[one.attribute] = tuple(sorted(fields[one.attribute], key=lambda each: order.index(each.name)))
        fields["at"] = at
        return fields

    def _keep(self, fields: dict[str, Any], one: Key, made: Any, entry: Entry, value: Value, path: str) -> None:
        if one.spread and one.default == ():
            fields[one.attribute] = (*fields.get(one.attribute, ()), made)
        elif one.spread and one.attribute in fields:
            first = next(each.name for each in value.entries if each.name in _tags(one.kind))
            message = f"{first} and {entry.name} are two acts"
            self.problems.append(self._wrong(_join(path, entry.name), entry, message, "make two steps of them"))
        else:
            fields[one.attribute] = made

    def _field(self, one: Key, entry: Entry, path: str) -> Any:
        if not one.spread:
            return self.value(one.kind, entry.value, path)
        assert isinstance(one.kind, Tagged)
        return self._tag(one.kind, entry, path)

    def _tag(self, kind: Tagged, entry: Entry, path: str) -> Any:
        from img_frontends.document.model import ACTS, SETTINGS

        made = self.value(kind.kind(entry.name), entry.value, path)
        if entry.name in SETTINGS.keys and set(kind.keys) <= set(ACTS.keys):
            at = {"": self._place(entry), "value": self._place(entry.value), **self._inner("value", entry.value)}
            return Setting(entry.name, made, at=at)
        return made

    def _tagged(self, kind: Tagged, value: Value, path: str) -> Any:
        if value.kind != "table" or len(value.entries) != 1:
            raise self._unlike(value, path, f"a table with one of {_or(kind.keys)}")
        entry = value.entries[0]
        if entry.name not in kind.keys:
            hint = near(entry.name, kind.keys, "keys here")
            raise self._wrong(_join(path, entry.name), entry, f"unknown key {entry.name[:80]!r}", hint)
        return self._tag(kind, entry, _join(path, entry.name))

    def _inner(self, name: str, value: Value) -> dict[str, Place]:
        """The places of a list's items and of a table's values."""
        items = {f"{name}.{number}": self._place(item) for number, item in enumerate(value.items)}
        return items | {f"{name}.{entry.name}": self._place(entry.value) for entry in value.entries}


class _Told(FrontendError):
    """Something is missing because it is wrong, which was told already."""

    def __init__(self) -> None:
        super().__init__("")


def _join(path: str, name: str) -> str:
    shown = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else repr(name[:80])
    return f"{path}.{shown}" if path else shown


def _tags(kind: Kind) -> tuple[str, ...]:
    return kind.keys if isinstance(kind, Tagged) else ()


def _names(type: type[Any]) -> tuple[str, ...]:
    """The keys that may stand in a record's table."""
    return tuple(name for one in keys(type) for name in (_tags(one.kind) if one.spread else (one.name,)))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _or(names: tuple[str, ...]) -> str:
    return ", ".join(names)
