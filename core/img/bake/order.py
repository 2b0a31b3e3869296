"""What stands on what: a context ``target:NAME`` is the image of another target, which is built before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from img.bake.plan import DEEP
from img.errors import UsageError

LINK = "target:"


def links(target: Mapping[str, Any]) -> dict[str, str]:
    """The targets that this one stands on, by the name of the context."""
    contexts: Mapping[str, str] = target.get("contexts", {})
    return {name: value.removeprefix(LINK) for name, value in contexts.items() if value.startswith(LINK)}


def linked(targets: Mapping[str, Mapping[str, Any]], wanted: Iterable[str]) -> frozenset[str]:
    """All targets that others of those `wanted`, or of what they stand on, stand on. Raises `UsageError`."""
    return frozenset(name for wave in waves(targets, wanted) for one in wave for name in links(targets[one]).values())


def waves(targets: Mapping[str, Mapping[str, Any]], wanted: Iterable[str]) -> list[list[str]]:
    """The targets `wanted` with all that they stand on, in the order to build them: those of one wave stand on earlier ones
    only. Raises `UsageError` for a target that there is not, and for one that stands on itself."""
    depth: dict[str, int] = {}

    def visit(name: str, open: Sequence[str]) -> int:
        if name in open:
            way = " → ".join([*open[open.index(name) :], name])
            raise UsageError(f"target {name} stands on itself: {way}", hint="leave out one of the contexts")
        if len(open) > DEEP:
            raise UsageError(f"target {name} is below more than {DEEP} others")
        if name not in depth:
            for context, below in links(targets[name]).items():
                if below not in targets:
                    hint = f"targets: {', '.join(targets)}"
                    raise UsageError(f"target.{name}.contexts.{context}: there is no target {below!r}", hint=hint)
            depths = [visit(below, [*open, name]) for below in links(targets[name]).values()]
            depth[name] = max(depths, default=-1) + 1
        return depth[name]

    for name in wanted:
        visit(name, [])
    made: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, at in depth.items():
        made[at].append(name)
    return made
