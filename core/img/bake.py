"""Several targets as requests. A plan has the form of ``docker-bake.json``: ``target`` (name → what to build) and ``group``
(name → names); documents and compose files are asked for one by the name of their frontend."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from img.errors import UsageError
from img.request import Request

Json = Any
TEXTS = ("context", "dockerfile", "target")
LISTS = ("tags", "platforms", "no-cache-filter")
TABLES = ("args", "labels", "contexts")
KEYS = (*TEXTS, *LISTS, *TABLES)
DEFAULT = "default"


def checked(plan: Json, file: str) -> dict[str, dict[str, Json]]:
    """The targets of a plan, of known keys and types only. Raises `UsageError`."""
    targets = plan.get("target") if isinstance(plan, dict) else None
    if not isinstance(targets, dict) or not targets:
        raise UsageError(f"{file} has no target", hint='{"target": {"app": {"context": "."}}}')
    return {name: _target(name, one, file) for name, one in targets.items()}


def _target(name: str, one: Json, file: str) -> dict[str, Json]:
    if not isinstance(one, dict):
        raise UsageError(f"{file}: target.{name} is a table of keys")
    for key, value in one.items():
        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(KEYS)}"
            raise UsageError(f"{file}: target.{name}.{key} is not known", hint=hint)
        table = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        lists = isinstance(value, list) and all(isinstance(text, str) for text in value)
        if not (isinstance(value, str) if key in TEXTS else lists if key in LISTS else table):
            kind = "a text" if key in TEXTS else "a list of texts" if key in LISTS else "a table of texts"
            raise UsageError(f"{file}: target.{name}.{key} is {kind}")
    return dict(one)


def selected(plan: Json, targets: Mapping[str, Json], names: Sequence[str]) -> list[str]:
    """The targets that `names` (of targets and groups) stand for, each once. Without names the group ``default``, else
    every target. Raises `UsageError`."""
    groups = plan.get("group") or {}
    found: dict[str, None] = {}
    open_groups: list[str] = []

    def add(name: str) -> None:
        if name in groups and name not in open_groups:
            open_groups.append(name)
            for inner in groups[name].get("targets", []):
                add(inner)
        elif name in targets:
            found[name] = None
        elif name not in groups:
            near = get_close_matches(name, [*targets, *groups], 1)
            hint = f"did you mean {near[0]}?" if near else f"targets: {', '.join([*targets, *groups])}"
            raise UsageError(f"there is no target {name!r}", hint=hint)

    for name in names or ([DEFAULT] if DEFAULT in groups or DEFAULT in targets else list(targets)):
        add(name)
    return list(found)


def override(targets: Mapping[str, dict[str, Json]], words: Sequence[str]) -> None:
    """``TARGET.KEY[.NAME]=VALUE``, where TARGET may be ``*``; a list is given anew by the first word for it. Raises
    `UsageError`."""
    begun: set[tuple[str, str]] = set()
    for word in words:
        path, equals, value = word.partition("=")
        name, _, rest = path.partition(".")
        key, _, inner = rest.partition(".")
        chosen = list(targets) if name == "*" else [name] if name in targets else []
        if not equals or not chosen or key not in KEYS or bool(inner) != (key in TABLES):
            hint = f"--set TARGET.KEY=VALUE or TARGET.args.NAME=VALUE; targets: {', '.join(targets)}; keys: {', '.join(KEYS)}"
            raise UsageError(f"invalid --set {word!r}", hint=hint)
        for one in chosen:
            if key in TEXTS:
                targets[one][key] = value
            elif key in TABLES:
                targets[one][key] = {**targets[one].get(key, {}), inner: value}
            else:
                kept = targets[one].get(key, []) if (one, key) in begun else []
                targets[one][key] = [*kept, value]
                begun.add((one, key))


def request_of(one: Mapping[str, Json], folder: str, file: str) -> Request:
    """The request for a target. Its paths are relative to `folder`; `file` is the build file if it names none."""
    context = one.get("context", ".")
    if "://" not in context and not context.startswith("git@"):
        context = posixpath.normpath(posixpath.join(folder, context))
    dockerfile = one.get("dockerfile", "")
    return Request(
        context=context,
        file=posixpath.join(context, dockerfile) if dockerfile else file,
        target=one.get("target", ""),
        args=one.get("args", {}),
        labels=one.get("labels", {}),
        contexts=one.get("contexts", {}),
        tags=tuple(one.get("tags", ())),
        platforms=tuple(one.get("platforms", ())),
        no_cache_filter=tuple(one.get("no-cache-filter", ())),
    )
