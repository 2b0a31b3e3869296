"""From the model to plain data (tables, lists, texts, numbers, booleans), in the shortest form that reads back as it."""

from __future__ import annotations

from typing import Any

from img_frontends.document.kinds import Kind, Lists, Many, Named, Record, Table, Tagged, keys
from img_frontends.document.model import Document, Setting

Plain = Any


def plain(document: Document) -> dict[str, Plain]:
    """A document as plain data, without its comments."""
    found = record(document)
    stages = dict(document.stages)
    if list(stages) == [""]:
        found.pop("stages")
        found |= record(stages[""])
    return found


def record(one: Any) -> dict[str, Plain]:
    """A record as a table, without what is as it would be anyway."""
    found: dict[str, Plain] = {}
    for key in keys(type(one)):
        value = getattr(one, key.attribute)
        if key.spread:
            found |= _spread(key.kind, value)
        elif key.required or value != key.default:
            found[key.name] = of(key.kind, value)
    return found


def _spread(kind: Kind, value: Any) -> dict[str, Plain]:
    assert isinstance(kind, Tagged)
    if isinstance(value, tuple):
        return {one.name: of(kind.kind(one.name), one.value) for one in value}
    return _tagged(kind, value)


def _tagged(kind: Tagged, value: Any) -> dict[str, Plain]:
    if isinstance(value, Setting):
        return {value.name: of(kind.kind(value.name), value.value)}
    for name, inner, _ in kind.choices:
        if isinstance(inner, Record) and inner.type is type(value):
            return {name: of(inner, value)}
    raise TypeError(f"{type(value).__name__} is none of {', '.join(kind.keys)}")


def of(kind: Kind, value: Any) -> Plain:
    """A value of a kind."""
    match kind:
        case Many():
            if kind.lone and len(value) == 1:
                return of(kind.item, value[0])
            return [of(kind.item, item) for item in value]
        case Table():
            if kind.listed and len(value) == 1 and value[0][1] is None:
                return value[0][0]
            if kind.listed and any(text is None for _, text in value):
                return [name if text is None else f"{name}={text}" for name, text in value]
            return dict(value)
        case Lists():
            return {name: texts[0] if len(texts) == 1 else list(texts) for name, texts in value}
        case Named():
            return {name: of(kind.item, item) for name, item in value}
        case Tagged():
            return _tagged(kind, value)
        case Record():
            return _short(kind, value)
        case _:
            return list(value) if isinstance(value, tuple) else value


def _short(kind: Record, value: Any) -> Plain:
    found = record(value)
    if kind.listed and set(found) == {"paths", "to"}:
        paths = found["paths"]
        return [*([paths] if isinstance(paths, str) else paths), found["to"]]
    if kind.short:
        name = next(key.name for key in keys(kind.type) if key.attribute == kind.short)
        if set(found) == {name}:
            return found[name]
    return found
