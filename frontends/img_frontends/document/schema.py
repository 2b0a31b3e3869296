"""The JSON Schema of a document, made from the model: what editors complete with. Shipped as ``img.schema.json``."""

from __future__ import annotations

import json
from typing import Any

from img_frontends.document.kinds import (
    Command,
    Flag,
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
from img_frontends.document.model import Document, Stage

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": ["string", "integer", "boolean"]}


def schema() -> Schema:
    """The schema of a whole document."""
    maker = _Maker()
    stage = maker.table(Stage)
    whole = maker.table(Document)
    single = {name: inner for name, inner in stage["properties"].items() if name not in whole["properties"]}
    top = {**whole, "properties": {**whole["properties"], **single}}
    top["not"] = {"required": ["stages"], "anyOf": [{"required": [name]} for name in single]}
    return {
        "$schema": DIALECT,
        "title": "img document",
        **top,
        "description": "A build file of img in YAML or TOML.",
        "$defs": dict(sorted(maker.definitions.items())),
    }


def text() -> str:
    """The schema as the shipped file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


class _Maker:
    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def of(self, kind: Kind) -> Schema:
        """What a value of the kind may be."""
        match kind:
            case Text():
                found: Schema = {"type": ["string", "integer"]} if kind.strict else dict(TEXT)
                return {**found, "pattern": rf"^({kind.pattern})$|\$"} if kind.pattern else found
            case Flag():
                return {"type": "boolean"}
            case Whole():
                return {"type": "integer", "minimum": kind.least}
            case OneOf():
                return {"enum": list(kind.choices)}
            case Command():
                return {"anyOf": [dict(TEXT), {"type": "array", "items": dict(TEXT)}]}
            case Many():
                return self._list(kind)
            case Table():
                return self._pairs(kind)
            case Lists():
                return {"type": "object", "additionalProperties": self._list(Many(Text(), lone=True, least=1))}
            case Named():
                names: Schema = {"propertyNames": {"pattern": f"^({kind.pattern})$"}} if kind.pattern else {}
                return {"type": "object", **names, "additionalProperties": self.of(kind.item)}
            case Record():
                return self._record(kind)
            case Tagged():
                choices = {name: {**self.of(inner), "description": words} for name, inner, words in kind.choices}
                one = {"type": "object", "properties": choices, "additionalProperties": False}
                return {**one, "minProperties": 1, "maxProperties": 1}

    def _list(self, kind: Many) -> Schema:
        found: Schema = {"type": "array", "items": self.of(kind.item)}
        if kind.least:
            found["minItems"] = kind.least
        return {"anyOf": [self.of(kind.item), found]} if kind.lone else found

    def _pairs(self, kind: Table) -> Schema:
        value = {"type": [*TEXT["type"], "null"]} if kind.bare else dict(TEXT)
        names = {"pattern": f"^({kind.pattern})$" if kind.pattern else r"^[^=\s]+$"}
        table = {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": value}
        return {"anyOf": [table, self._list(Many(Text(), lone=True, least=1))]} if kind.listed else table

    def _record(self, kind: Record) -> Schema:
        name = kind.type.__name__
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self.table(kind.type)
        forms: list[Schema] = [{"$ref": f"#/$defs/{name}"}]
        if kind.short:
            short = next(key for key in keys(kind.type) if key.attribute == kind.short)
            forms.append(self.of(short.kind) if short.required else {"anyOf": [self.of(short.kind), {"type": "null"}]})
        if kind.listed:
            forms.append({"type": "array", "items": dict(TEXT), "minItems": 2})
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def table(self, type: type[Any]) -> Schema:
        """A record's own table."""
        properties: dict[str, Schema] = {}
        required: list[str] = []
        found: Schema = {"type": "object", "description": (type.__doc__ or "").replace("``", "")}
        for key in keys(type):
            if not key.spread:
                properties[key.name] = {**self.of(key.kind), "description": key.words}
                required += [key.name] if key.required else []
                continue
            assert isinstance(key.kind, Tagged)
            properties |= {name: {**self.of(inner), "description": words} for name, inner, words in key.kind.choices}
            if key.required:
                found["oneOf"] = [{"required": [name]} for name in key.kind.keys]
        return {**found, "properties": properties, "required": required, "additionalProperties": False}
