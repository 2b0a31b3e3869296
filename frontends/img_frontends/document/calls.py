"""Questions about a document: what is wrong with it, what it can be given, what can be built, and its other forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from img.errors import UsageError
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.document.convert import convert
from img_frontends.document.flat import flatten
from img_frontends.document.include import Read, load
from img_frontends.document.lower import check_targets, goal_of, lower
from img_frontends.document.paths import pathed

Answer = Callable[[FrontendRequest, Resolver, Read], Report]


def check(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """Lower the document, and say that nothing is wrong. Raises `FrontendError` with every problem."""
    lower(request, resolver, read)
    return Report("Check complete, no warnings found.\n", {"warnings": []})


def outline(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """The arguments of the document, and the stage that is built."""
    document = load(request, resolver, read)
    goal, _ = goal_of(document, flatten(document), request.target)
    args: list[dict[str, Any]] = [
        {"name": name, "description": arg.description, "value": arg.default, "type": arg.type, "choices": arg.choices}
        for name, arg in document.args
    ]
    rows = [(one["name"], one["value"] or "", one["description"] or ", ".join(one["choices"])) for one in args]
    text = f"TARGET: {goal.name or 'default'}\n" + (
        _columns(("BUILD ARG", "VALUE", "DESCRIPTION"), rows) if rows else ""
    )
    return Report(text, {"name": goal.name or "default", "args": args})


def targets(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """What can be built, and what it stands on."""
    document = load(request, resolver, read)
    flats = flatten(document)
    goal, _ = goal_of(document, flats, "")
    listed: list[dict[str, Any]] = [
        {"name": name, "stage": one.stage, "default": name == document.default} for name, one in document.targets
    ]
    named = {name for name, _ in document.targets}
    for flat in flats:
        if flat.name not in named:
            chosen = flat is goal and document.default not in named
            listed.append({"name": flat.name, "base": flat.stage.base, "default": chosen})
    rows = [
        (
            f"{one['name'] or 'default'}{' (default)' if one['default'] else ''}",
            one.get("stage") or one.get("base") or "",
        )
        for one in listed
    ]
    return Report(_columns(("TARGET", "FROM"), rows), {"targets": listed})


def plan(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """The targets of the document as ``img bake`` takes them."""
    document = load(request, resolver, read)
    flats = flatten(document)
    check_targets(document, flats)
    goal, _ = goal_of(document, flats, "")
    found: dict[str, Any] = {flat.name or "default": {"target": flat.name} for flat in flats}
    for name, one in document.targets:
        found[name] = {
            "target": name,
            "args": dict(one.args),
            "tags": list(one.tags),
            "platforms": list(one.platforms),
            "labels": dict(one.labels),
        }
    named = [name for name, _ in document.targets]
    default = [document.default] if document.default else named or [goal.name or "default"]
    return Report("", {"target": found, "group": {"default": {"targets": default}}})


def compose(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """What a compose file builds, as ``img bake`` takes it."""
    from img_frontends.document.compose import compose

    return compose(request, resolver, read)


def schema(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """The JSON Schema of documents."""
    from img_frontends.document import schema as made

    return Report(made.text(), made.schema())


def describe(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """What can be asked."""
    listed = [{"name": name, "description": _words(one)} for name, one in CALLS.items()]
    return Report(_columns(("NAME", "DESCRIPTION"), [(one["name"], one["description"]) for one in listed]), listed)


def _words(answer: Answer) -> str:
    return (answer.__doc__ or "").split("\n")[0].rstrip(".")


def _columns(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    table = [head, *rows]
    widths = [max(len(str(row[n])) for row in table) for n in range(len(head))]
    lines = ("   ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "".join(f"{line.rstrip()}\n" for line in lines)


CALLS: dict[str, Answer] = {
    "check": check,
    "outline": outline,
    "targets": targets,
    "describe": describe,
    "convert": convert,
    "plan": plan,
    "compose": compose,
    "schema": schema,
}
ALIASES = {"lint": "check", "subrequests.describe": "describe"}


def answer(name: str, request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """Raises `UsageError` for an unknown question, and what the question raises."""
    short = name.removeprefix("frontend.")
    call = CALLS.get(ALIASES.get(short, short))
    if call is None:
        raise UsageError(f"a document can't be asked for {name!r}", hint=f"one of {', '.join(CALLS)}")
    with pathed(request, resolver, read):
        return call(request, resolver, read)
