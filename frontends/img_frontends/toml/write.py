"""A document as TOML: stages and steps as tables, so that comments have a place; what is in a step in one row each."""

from __future__ import annotations

import json
import re
from typing import Any

from img_frontends.document.model import Document, Stage
from img_frontends.document.plain import plain

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f']*")
_BLOCK = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f\r]*")


def to_toml(document: Document) -> str:
    """The text, which reads back as the same document."""
    found = plain(document)
    stages = dict(document.stages)
    rows = [*_comments(document.comments)]
    if rows:
        rows.append("")
    single = list(stages) == [""]
    steps = found.pop("steps", []) if single else []
    tables = {name: found.pop(name) for name in ("args", "stages", "targets") if name in found}
    rows += [f"{_key(name)} = {value(one)}" for name, one in found.items()]
    for name, table in tables.items():
        if name == "stages":
            for each, inner in table.items():
                rows += _stage(each, stages[each], inner)
        else:
            rows += ["", f"[{name}]", *(f"{_key(each)} = {value(one)}" for each, one in table.items())]
    if single:
        rows += _steps("steps", stages[""], steps)
    return "\n".join(rows).lstrip("\n") + "\n"


def _stage(name: str, stage: Stage, table: dict[str, Any]) -> list[str]:
    path = f"stages.{_key(name)}"
    steps = table.pop("steps", [])
    rows = ["", *_comments(stage.comments), f"[{path}]"]
    rows += [f"{_key(each)} = {value(one)}" for each, one in table.items()]
    return rows + _steps(f"{path}.steps", stage, steps)


def _steps(path: str, stage: Stage, values: list[Any]) -> list[str]:
    rows: list[str] = []
    for step, table in zip(stage.steps, values, strict=True):
        rows += ["", *_comments(step.comments), f"[[{path}]]"]
        for name, one in table.items():
            if isinstance(one, dict) and any(isinstance(text, str) and "\n" in text for text in one.values()):
                rows += [f"{_key(name)}.{_key(each)} = {value(inner)}" for each, inner in one.items()]
            else:
                rows.append(f"{_key(name)} = {value(one)}")
    return rows


def _comments(comments: tuple[str, ...]) -> list[str]:
    return [f"# {text}".rstrip() for text in comments]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def value(one: Any) -> str:
    """A value in TOML; a text of several rows as a block."""
    if isinstance(one, bool):
        return "true" if one else "false"
    if isinstance(one, int):
        return str(one)
    if isinstance(one, list):
        return f"[{', '.join(map(value, one))}]"
    if isinstance(one, dict):
        inner = ", ".join(f"{_key(name)} = {value(each)}" for name, each in one.items())
        return f"{{ {inner} }}" if inner else "{}"
    if one is None:
        raise TypeError("TOML has no value for nothing")
    return _text(one)


def _text(text: str) -> str:
    if "\n" in text and "'''" not in text and _BLOCK.fullmatch(text.replace("\n", "")) and not text.endswith("'"):
        return f"'''\n{text}'''"
    if ('"' in text or "\\" in text) and _LITERAL.fullmatch(text):
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
