"""A document as YAML: scripts as blocks, short lists in one row, comments above the steps and stages they belong to."""

from __future__ import annotations

import re
from typing import Any

import yaml

from img_frontends.document.model import Document, Stage
from img_frontends.document.plain import plain

WIDTH = 110
_SPECIAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff]")
"""What YAML folds, trims or refuses unless it is written as an escape."""


def to_yaml(document: Document) -> str:
    """The text, which reads back as the same document."""
    found = plain(document)
    rows = [*_comments(document.comments, "")]
    if rows:
        rows.append("")
    stages = dict(document.stages)
    single = list(stages) == [""]
    for name, value in found.items():
        if single and name == "steps":
            rows += ["steps:", *_steps(stages[""], value, "  ")]
        elif name == "stages":
            rows.append("stages:")
            for each, table in value.items():
                rows += _stage(each, stages[each], table)
        else:
            rows += _dumped({name: value}, "")
    return "\n".join(rows) + "\n"


def _stage(name: str, stage: Stage, table: dict[str, Any]) -> list[str]:
    rows = [*_comments(stage.comments, "  "), *(_dumped({name: {}}, "  ") if not table else [f"  {_key(name)}:"])]
    for key, value in table.items():
        rows += ["    steps:", *_steps(stage, value, "      ")] if key == "steps" else _dumped({key: value}, "    ")
    return rows


def _key(name: str) -> str:
    return _dumped({name: 1}, "")[0].removesuffix(": 1")


def _steps(stage: Stage, values: list[Any], indent: str) -> list[str]:
    rows: list[str] = []
    for step, value in zip(stage.steps, values, strict=True):
        rows += [*_comments(step.comments, indent), *_dumped([value], indent)]
    return rows


def _comments(comments: tuple[str, ...], indent: str) -> list[str]:
    return [f"{indent}# {text}".rstrip() for text in comments]


def _dumped(value: Any, indent: str) -> list[str]:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=False)
    return [f"{indent}{row}" if row.strip() else "" for row in text.rstrip("\n").split("\n")]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several rows as blocks, and lists and tables of plain values in one row if they are short."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> Any:
    style = None
    if "\n" in text or _SPECIAL.search(text):
        rows = text.removesuffix("\n").split("\n")
        whole = rows[0].lstrip() == rows[0] and all(row == row.rstrip() for row in rows) and rows[0] and rows[-1]
        style = "|" if whole and not _SPECIAL.search(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _short(values: Any) -> bool:
    texts = [text for value in values for text in (value if isinstance(value, tuple) else (value,))]
    plain = all(isinstance(text, str | int | bool | None) and "\n" not in str(text) for text in texts)
    return plain and sum(len(str(text)) + 4 for text in texts) < WIDTH - 30


def _list(dumper: _Dumper, values: list[Any]) -> Any:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=bool(values) and _short(values))


def _table(dumper: _Dumper, values: dict[str, Any]) -> Any:
    return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=not values)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(dict, _table)
