"""``outline``: what a target can be given: arguments, secrets, ssh agents, caches (frontend.outline)."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from img.errors import Place
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.dockerfile.calls.opened import described, opened
from img_frontends.dockerfile.calls.shape import Json, columns, encoded, location, present
from img_frontends.dockerfile.checks.subject import Subject
from img_frontends.dockerfile.checks.variables import uses
from img_frontends.dockerfile.tree import Instruction

ALIASES = {"dst": "target", "destination": "target", "src": "source"}


class Argument(NamedTuple):
    """The ARG that describes a name: the last of the stages that does not take it from the global scope, or that one's."""

    name: str
    value: str
    default: str
    words: str
    place: Place


class Taken(NamedTuple):
    """Something a RUN mounts."""

    kind: str
    id: str
    required: bool
    place: Place


def outline(request: FrontendRequest, resolver: Resolver) -> Report:
    """What the target and the stages that it needs can be given. Raises `FrontendError`."""
    subject = opened(request, resolver)
    goal = subject.goal or subject.stages[-1]
    words = described(goal.start.line.comments, goal.name)
    arguments = sorted(_arguments(subject), key=lambda one: (one.place.line, one.place.column))
    taken = {kind: [one for one in _taken(subject) if one.kind == kind] for kind in ("secret", "ssh", "cache")}
    document: dict[str, Json] = {
        "name": goal.name,
        "description": words,
        "args": [_argument(one) for one in arguments],
        "secrets": [_mount(one, "name") for one in taken["secret"]],
        "ssh": [_mount(one, "name") for one in taken["ssh"]],
        "cache": [_mount(one, "ID") for one in taken["cache"]],
        "sources": [encoded(request.text)],
    }
    head = [("TARGET:", goal.name or "(default)")] + ([("DESCRIPTION:", words)] if words else [])
    tables = [columns(head, 1)] if goal.name or words else []
    if arguments:
        named = [(one.name, one.value, one.words) for one in arguments]
        tables.append(columns([("BUILD ARG", "VALUE", "DESCRIPTION"), *named]))
    for kind, title in (("secret", "SECRET"), ("ssh", "SSH")):
        if taken[kind]:
            needed = [(one.id, "true" if one.required else "") for one in taken[kind]]
            tables.append(columns([(title, "REQUIRED"), *needed]))
    if taken["cache"]:
        tables.append(columns([("CACHE ID",), *((one.id,) for one in taken["cache"])]))
    return Report("".join(f"{table}\n" for table in tables), present(document))


def _argument(one: Argument) -> Json:
    fields = {"name": one.name, "description": one.words, "value": one.value}
    return {**present(fields), "location": location(one.place)}


def _mount(one: Taken, key: str) -> Json:
    return {**present({key: one.id, "required": one.required}), "location": location(one.place)}


# --- arguments ----------------------------------------------------------------------------------------------------


def _arguments(subject: Subject) -> Iterator[Argument]:
    """The arguments that the stages use: by their FROM, by an ARG of theirs, or by the default of one of those."""
    defined: dict[str, Argument] = {}
    for i in subject.before:
        for argument in _defined(subject, i, subject.global_values):
            defined[argument.name] = argument
    used: list[str] = []
    for stage in subject.reached:
        words = (stage.base, stage.start.flag("platform") or "")
        used.extend(use.name for word in words for use in uses(word, subject.script.escape))
    for i, scene in subject.walk():
        if i.keyword == "ARG":
            used.extend(name for name, _ in i.pairs)
            for argument in _defined(subject, i, scene.variables):
                inherits = dict(i.pairs)[argument.name] is None and argument.name in subject.global_names
                if not inherits:
                    defined[argument.name] = argument
    seen: set[str] = set()
    while used:
        name = used.pop()
        if name in defined and name not in seen:
            seen.add(name)
            yield defined[name]
            used.extend(use.name for use in uses(defined[name].default, subject.script.escape))


def _defined(subject: Subject, i: Instruction, variables: Mapping[str, str]) -> Iterator[Argument]:
    comments = i.line.comments
    known = dict(variables)
    for (name, default), word in zip(i.pairs, i.words, strict=True):
        value = subject.request.args.get(name)
        if value is None:
            value = "" if default is None else subject.expanded(default, known)
        known[name] = value
        yield Argument(name, value, default or "", described(comments, name), i.line.place(word.offset))


# --- mounts -------------------------------------------------------------------------------------------------------


def _taken(subject: Subject) -> list[Taken]:
    """The secrets, agents and caches of the RUNs, each id once; required if any of them says so."""
    found: dict[tuple[str, str], Taken] = {}
    for i, scene in subject.walk():
        for flag in i.all("mount"):
            options = _options(subject.expanded(flag.value or "", scene.variables))
            kind = options.get("type", "bind")
            id = _id(kind, options)
            if id:
                one = Taken(kind, id, options.get("required", "false") in ("", "true", "1"), i.line.place(flag.offset))
                known = found.setdefault((kind, id), one)
                if one.required and not known.required:
                    found[kind, id] = known._replace(required=True)
    return list(found.values())


def _options(text: str) -> dict[str, str]:
    pairs = (field.partition("=") for field in next(csv.reader([text]), []))
    return {ALIASES.get(name.strip().lower(), name.strip().lower()): value for name, _, value in pairs}


def _id(kind: str, options: dict[str, str]) -> str:
    """The id of a mount that can be given something; empty for others."""
    target = options.get("target", "")
    if kind == "secret":
        return options.get("id") or options.get("source") or posixpath.basename(target)
    if kind == "ssh":
        return options.get("id") or "default"
    return (options.get("id") or posixpath.normpath(target)) if kind == "cache" else ""
