"""The tables of docs/reference/document.md, made from the model. ``python -m tests.unit.document.reference`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from img_frontends.document import model
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
    Whole,
    keys,
)

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "document.md"
MARK = "<!-- from here on made from the model: python -m tests.unit.document.reference -->\n"


def said(kind: Kind) -> str:
    """A kind in a few words."""
    match kind:
        case Flag():
            return "true or false"
        case Whole():
            return "number"
        case OneOf():
            return ", ".join(f"`{choice}`" for choice in kind.choices)
        case Command():
            return "text or list"
        case Many():
            return f"list of {said(kind.item)}" if not kind.lone else f"{said(kind.item)}, or a list"
        case Table():
            return "table of texts, or list of names" if kind.listed else "table of texts"
        case Lists():
            return "table of texts or lists"
        case Named():
            return f"table of {said(kind.item)}"
        case Record():
            short = f", or its `{kind.short}`" if kind.short else ", or [sources…, `to`]" if kind.listed else ""
            return f"[{kind.type.__name__.lower()}](#{kind.type.__name__.lower()}){short}"
        case Tagged():
            return "one of " + ", ".join(f"`{name}`" for name in kind.keys)
        case _:
            return "text"


def table(type: Any) -> str:
    """One record."""
    rows = [
        f"## {type.__name__.lower()}",
        "",
        (type.__doc__ or "").strip(),
        "",
        "| key | value | |",
        "| --- | --- | --- |",
    ]
    for key in keys(type):
        if key.spread:
            assert isinstance(key.kind, Tagged)
            rows += [f"| `{name}` | {said(kind)} | {words} |" for name, kind, words in key.kind.choices]
        else:
            needed = " Needed." if key.required else ""
            rows.append(f"| `{key.name}` | {said(key.kind)} | {key.words}{needed} |")
    return "\n".join(rows) + "\n"


def tables() -> str:
    records = (
        *(
            model.Document,
            model.Arg,
            model.Target,
            model.Stage,
            model.Step,
            model.Run,
            model.Copy,
            model.Add,
            model.Inline,
        ),
        *(model.Write, model.Mkdir, model.Remove, model.Link, model.Health, model.Device, model.Resources),
        *(model.BindMount, model.CacheMount, model.SecretMount, model.SshMount, model.TmpfsMount),
    )
    return "\n".join(table(one) for one in records)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + tables(), encoding="utf-8")
