"""The ``build`` sections of a compose file as a plan for ``img bake`` (the Compose Specification, build.md)."""

from __future__ import annotations

from typing import Any

from img.errors import FrontendError
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.document.bind import near
from img_frontends.document.include import Read
from img_frontends.document.values import Entry, Text, Value

TEXTS = ("context", "dockerfile", "target")
LISTS = ("tags", "platforms")
TABLES = {"args": "args", "labels": "labels", "additional_contexts": "contexts"}
KNOWN = (*TEXTS, *LISTS, *TABLES)


def compose(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """The services of a compose file that are built, as targets. Raises `FrontendError` for what img has no word for."""
    tree = read(request.text, request.file)
    services = next((entry.value for entry in tree.root.entries if entry.name == "services"), None)
    found = {}
    for service in services.entries if services else ():
        parts = {entry.name: entry.value for entry in service.value.entries}
        if "build" in parts:
            found[service.name] = _target(parts, f"services.{service.name}.build", tree.text)
    return Report("", {"target": found, "group": {"default": {"targets": list(found)}}})


def _target(parts: dict[str, Value], path: str, text: Text) -> dict[str, Any]:
    build, image = parts["build"], parts.get("image")
    made: dict[str, Any] = {}
    if build.kind == "scalar":
        made["context"] = _text(build, path, text)
    for entry in build.entries:
        where = f"{path}.{entry.name}"
        if entry.name in TEXTS:
            made[entry.name] = _text(entry.value, where, text)
        elif entry.name in LISTS:
            made[entry.name] = [_text(item, where, text) for item in entry.value.items]
        elif entry.name in TABLES:
            made[TABLES[entry.name]] = dict(_pairs(entry, where, text))
        else:
            hint = near(entry.name, KNOWN, "keys here")
            raise FrontendError(f"{where}: img does not know this key", hint=hint, place=_place(entry, text))
    if image is not None:
        made["tags"] = [_text(image, "image", text), *made.get("tags", [])]
    return made


def _pairs(entry: Entry, path: str, text: Text) -> list[tuple[str, str]]:
    """``{NAME: VALUE}`` or ``[NAME=VALUE]``."""
    found = [(each.name, _text(each.value, f"{path}.{each.name}", text)) for each in entry.value.entries]
    for item in entry.value.items:
        name, equals, value = _text(item, path, text).partition("=")
        if not equals:
            raise FrontendError(f"{path}: {name} has no value", hint="NAME=VALUE", place=_place(item, text))
        found.append((name, value))
    return found


def _text(value: Value, path: str, text: Text) -> str:
    found = value.scalar
    if value.kind != "scalar" or found is None:
        raise FrontendError(f"{path}: expected a text", place=_place(value, text))
    shown = str(found) if isinstance(found, str) else value.written
    if "${" in shown:
        hint = "write the value: docker compose config prints the file with all variables put in"
        raise FrontendError(f"{path}: variables of compose files are not put in", hint=hint, place=_place(value, text))
    return shown


def _place(one: Value | Entry, text: Text) -> Any:
    return text.place(one.line, one.column)
