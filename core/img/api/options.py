"""What a build can be told by argument, and how that becomes `img.request.Options`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from img.errors import UsageError
from img.ir import checked
from img.ir.definition import Definition
from img.ir.state import State
from img.ports import Reporter
from img.request import Options, Request
from img.secrets import SecretSource

What = State | Request | Definition
"""What can be built."""

Attributes = Mapping[str, object]
SecretValue = str | bytes | os.PathLike[str] | SecretSource


class Place(TypedDict, total=False):
    """Which store and which settings a call uses."""

    root: str | os.PathLike[str]
    """The store's folder; without it the one the command line uses (``IMG_ROOT`` and so on)."""
    settings: Mapping[str, str]
    """Settings by name; `img.environment()` has those of the command line. Without it every setting has its default."""
    credentials: Mapping[str, tuple[str, str]]
    """User and password by registry host, or by ``HOST/PATH``."""
    observers: Sequence[Reporter]
    """Who is told of events, on a thread of their own; one that raises is dropped."""
    disable_plugins: Sequence[str]
    """Plugin packages (distributions or entry points) that are left out."""


class BuildOptions(Place, total=False):
    """How a build runs and where its results go."""

    tag: str | Sequence[str]
    """Names of the image in the store; exporters that need a name take it too."""
    outputs: Attributes | Sequence[Attributes]
    """Where the result goes: attributes of ``--output``, each with ``type``. `img.output` makes one."""
    platform: str | Sequence[str]
    epoch: int
    """Unix time that the image says it was made at (SOURCE_DATE_EPOCH)."""
    secrets: Mapping[str, SecretValue]
    """By id: text or bytes are the secret itself, a `pathlib.Path` is the file it is in."""
    ssh: Mapping[str, str | Sequence[str]]
    """By id: the socket of an agent, or key files."""
    cache_from: Sequence[Attributes]
    cache_to: Sequence[Attributes]
    cache_mount_from: Sequence[Attributes]
    cache_mount_to: Sequence[Attributes]
    annotations: Mapping[str, str]
    no_cache: bool
    pull: str
    backend: str
    expect_cached: Sequence[str]


def output(type: str, dest: str | os.PathLike[str] | None = None, /, **attributes: object) -> dict[str, str]:
    """One output: ``img.output("oci", "image.tar", compression="zstd")``. Underscores stand for dashes; True and False for
    ``true`` and ``false``."""
    given = {"type": checked.text(type, "the type of an output"), **({} if dest is None else {"dest": dest})}
    return words({**given, **{name.replace("_", "-"): value for name, value in attributes.items()}}, "an output")


def words(attributes: Attributes, what: str) -> dict[str, str]:
    """Attributes as texts. Raises `UsageError`."""
    if not isinstance(attributes, Mapping):
        raise UsageError(f"{what} is a mapping, not {checked.kind(attributes)}", hint="e.g. img.output('oci', 'a.tar')")
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int):
            value = str(value)
        found[checked.text(name, f"a name in {what}")] = checked.path(value, f"{name} of {what}", empty=True)
    return found


def check_names(given: Mapping[str, Any], kind: type = BuildOptions) -> None:
    """Raises `UsageError` for an option that there is not."""
    known = sorted(get_type_hints(kind))
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"options: {', '.join(known)}"
            raise UsageError(f"there is no option {name!r}", hint=hint)


def request_of(what: Request, given: BuildOptions) -> Request:
    """A request with the options over what it says itself. Raises `UsageError`."""
    if "epoch" in given:
        what = replace(what, args={**what.args, "SOURCE_DATE_EPOCH": str(_epoch(given["epoch"]))})
    if platforms := platforms_of(given):
        what = replace(what, platforms=platforms)
    changed = _fields(given)
    return replace(what, **changed)


def options_of(given: BuildOptions) -> Options:
    """The options of a build that is no request. Raises `UsageError`."""
    return Options(**_fields(given))


def platforms_of(given: BuildOptions) -> tuple[str, ...]:
    """The platforms that were named, whole. Raises `UsageError`."""
    from img.oci.platform import Platform

    named = given.get("platform", ())
    return tuple(str(Platform.parse(one)) for one in _several(named, "platform") if one)


def epoch_of(given: BuildOptions) -> int | None:
    return _epoch(given["epoch"]) if "epoch" in given else None


def _epoch(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"epoch is a Unix time in whole seconds, not {value!r}")
    return value


def _fields(given: BuildOptions) -> dict[str, Any]:
    """The fields of `Options` that are given."""
    found: dict[str, Any] = {}
    if "tag" in given:
        found["tags"] = _several(given["tag"], "tag")
    if "outputs" in given:
        outputs = given["outputs"]
        several = [outputs] if isinstance(outputs, Mapping) else outputs
        found["outputs"] = _attributes(several, "outputs")
    for name in ("cache_from", "cache_to", "cache_mount_from", "cache_mount_to"):
        if name in given:
            found[name] = _attributes(given[name], name)
    if "secrets" in given:
        found["secrets"] = {id: _secret(id, value) for id, value in _mapping(given["secrets"], "secrets").items()}
    if "ssh" in given:
        agents = _mapping(given["ssh"], "ssh")
        found["ssh"] = {id: _several(paths, f"ssh[{id!r}]") for id, paths in agents.items()}
    if "annotations" in given:
        found["annotations"] = checked.variables(given["annotations"], "annotations")
    if "expect_cached" in given:
        found["expect_cached"] = checked.texts(given["expect_cached"], "expect_cached")
    if "no_cache" in given:
        found["no_cache"] = bool(given["no_cache"])
    if given.get("pull"):
        if given["pull"] not in ("missing", "always", "never"):
            raise UsageError(f"pull can't be {given['pull']!r}", hint="missing, always or never")
        found["pull"] = given["pull"]
    if "backend" in given:
        found["backend"] = checked.text(given["backend"], "backend", empty=True)
    return found


def _several(value: Any, what: str) -> tuple[str, ...]:
    """One text, or several."""
    if isinstance(value, str | os.PathLike):
        return (checked.path(value, what),)
    return checked.texts(value, what)


def _attributes(values: Any, what: str) -> tuple[dict[str, str], ...]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise UsageError(f"{what} is a sequence of mappings, not {checked.kind(values)}")
    found = tuple(words(value, f"each of {what}") for value in values)
    if any(not one.get("type") for one in found):
        raise UsageError(f"each of {what} needs a type", hint="e.g. {'type': 'oci', 'dest': 'image.tar'}")
    return found


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{what} is a mapping by id, not {checked.kind(value)}")
    return value


def _secret(id: Any, value: Any) -> SecretSource:
    checked.text(id, "the id of a secret")
    if isinstance(value, SecretSource):
        return value
    if isinstance(value, Path | os.PathLike):
        return SecretSource("file", os.fspath(value))
    if isinstance(value, bytes):
        return SecretSource("value", os.fsdecode(value))
    if isinstance(value, str):
        return SecretSource("value", value)
    raise UsageError(
        f"the secret {id!r} can't be {checked.kind(value)}",
        hint="text or bytes for the secret itself, a pathlib.Path for the file it is in",
    )
