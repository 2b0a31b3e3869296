"""The ``build`` sections of a compose file as a plan for ``img bake`` (the Compose Specification, build.md)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from img.errors import FrontendError, Place
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.document.bind import near
from img_frontends.document.include import Read
from img_frontends.document.interpolation import interpolated
from img_frontends.document.values import Entry, Text, Value

Json = Any


class At(NamedTuple):
    """A value with its path of keys, the file it stands in, and the variables."""

    value: Value
    path: str
    text: Text
    environ: Mapping[str, str]

    def inner(self, name: str, value: Value) -> At:
        return self._replace(path=f"{self.path}.{name}" if self.path else name, value=value)

    def wrong(self, message: str, hint: str = "", where: Entry | None = None) -> FrontendError:
        one = where or self.value
        return FrontendError(f"{self.path}: {message}", hint=hint, place=self.text.place(one.line, one.column))

    def entries(self) -> dict[str, At]:
        if self.value.kind != "table":
            raise self.wrong("expected a table of keys")
        return {entry.name: self.inner(entry.name, entry.value) for entry in self.value.entries}

    def string(self) -> str:
        """A text with its variables put in; numbers and booleans as they are written."""
        found = self.value.scalar
        if self.value.kind != "scalar" or found is None:
            raise self.wrong("expected a text")
        if not isinstance(found, str):
            return self.value.written or str(found)
        return interpolated(found, self.environ, self.wrong)

    def flag(self) -> bool:
        word = "true" if self.value.scalar is True else "false" if self.value.scalar is False else self.string()
        if word not in ("true", "false"):
            raise self.wrong("expected true or false")
        return word == "true"

    def items(self) -> list[At]:
        """The items of a list, or a lone text as one."""
        if self.value.kind == "scalar":
            return [self]
        if self.value.kind != "list":
            raise self.wrong("expected a list")
        return [self._replace(path=f"{self.path}[{n}]", value=item) for n, item in enumerate(self.value.items)]

    def strings(self) -> list[str]:
        return [item.string() for item in self.items()]

    def pairs(self, equals: str = "=") -> dict[str, str | None]:
        """``{NAME: VALUE}`` or ``[NAME=VALUE]``; None for a name that has no value."""
        if self.value.kind == "table":
            empty = [
                name for name, one in self.entries().items() if one.value.scalar is None and one.value.kind == "scalar"
            ]
            return {name: None if name in empty else one.string() for name, one in self.entries().items()}
        parts = [text.partition(equals) for text in self.strings()]
        return {name: value if mark else None for name, mark, value in parts}


def compose(request: FrontendRequest, resolver: Resolver, read: Read) -> Report:
    """The services of a compose file that are built, as targets. Raises `FrontendError` for what img has no word for."""
    path = request.options.get("path") or posixpath.basename(request.file)
    file = _File(request.text, request.file, path, request.args, resolver, read)
    found = {}
    for name in file.services:
        parts = file.parts(name)
        if "build" in parts:
            found[name] = _target(parts, file.secrets)
    if not found:
        hint = "img bake builds services that have one"
        place = Place(request.file, 1)
        raise FrontendError(f"no service of {request.file} has a build section", hint=hint, place=place)
    return Report("", {"target": found, "group": {"default": {"targets": list(found)}}})


class _File:
    """One compose file. `path` is its path in the context, from which others are found."""

    def __init__(
        self, data: bytes, name: str, path: str, environ: Mapping[str, str], resolver: Resolver, read: Read
    ) -> None:
        tree = read(data, name)
        top = At(tree.root, "", tree.text, environ).entries()
        self.services = top["services"].entries() if "services" in top else {}
        self.secrets = top["secrets"].entries() if "secrets" in top else {}
        self._path, self._environ, self._resolver, self._read = path, environ, resolver, read

    def parts(self, name: str, open: Sequence[tuple[str, str]] = ()) -> dict[str, At]:
        """The keys of a service, those of what it extends below its own; ``build`` is joined key by key."""
        service = self.services[name]
        own = service.entries()
        if "extends" not in own:
            return own
        here = (self._path, name)
        if here in open:
            raise own["extends"].wrong(f"{name} extends itself")
        below = self._extended(own["extends"], (*open, here))
        if "build" in below and "build" in own:
            own["build"] = _over(below["build"], own["build"])
        return {**below, **own}

    def _extended(self, extends: At, open: Sequence[tuple[str, str]]) -> dict[str, At]:
        keys = {"service": extends} if extends.value.kind == "scalar" else extends.entries()
        if "service" not in keys:
            raise extends.wrong("the key service is missing")
        name, file = keys["service"].string(), self
        if "file" in keys:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(self._path), keys["file"].string()))
            data = None if path.startswith(("../", "/")) else self._resolver.context_file(path)
            if data is None:
                raise keys["file"].wrong(f"there is no {path} below the folder of the compose file")
            file = _File(data, path, path, self._environ, self._resolver, self._read)
            if posixpath.dirname(path):
                hint = "write what it says into this file: its paths are relative to another folder"
                raise keys["file"].wrong("a file of another folder can't be extended", hint)
        if name not in file.services:
            raise keys["service"].wrong(f"there is no service {name!r}", near(name, tuple(file.services), "services"))
        return file.parts(name, open)


def _over(below: At, own: At) -> At:
    """A build section over another: its keys count, tables are joined."""
    if own.value.kind != "table" or below.value.kind != "table":
        return own
    names = [entry.name for entry in own.value.entries]
    joined = {entry.name: entry for entry in below.value.entries if entry.name not in names}
    for entry in own.value.entries:
        under = next((one.value for one in below.value.entries if one.name == entry.name), None)
        value = entry.value
        if under is not None and under.kind == value.kind == "table":
            inner = [one.name for one in value.entries]
            kept = tuple(one for one in under.entries if one.name not in inner)
            value = Value("table", (*kept, *value.entries), value.line, value.column)
        joined[entry.name] = Entry(entry.name, entry.line, entry.column, value)
    return own._replace(value=Value("table", tuple(joined.values()), own.value.line, own.value.column))


# --- keys ------------------------------------------------------------------------------------------------------------

Keyed = Callable[[At], Json]


def _args(at: At) -> Json:
    """An argument without a value has that of the environment, or none."""
    given = {name: at.environ.get(name) if value is None else value for name, value in at.pairs().items()}
    return {name: value for name, value in given.items() if value is not None}


def _texts(at: At) -> Json:
    return {name: value or "" for name, value in at.pairs().items()}


def _hosts(at: At) -> Json:
    colon = at.value.kind == "list" and any("=" not in text for text in at.strings())
    return {name: value or "" for name, value in at.pairs(":" if colon else "=").items()}


def _contexts(at: At) -> Json:
    """Other services' images are targets here."""
    words = {name: value or "" for name, value in at.pairs().items()}
    return {n: f"target:{w.removeprefix('service:')}" if w.startswith("service:") else w for n, w in words.items()}


def _agents(at: At) -> Json:
    return [name if value is None else f"{name}={value}" for name, value in at.pairs().items()]


def _limits(at: At) -> Json:
    made = []
    for name, one in at.entries().items():
        if one.value.kind == "table":
            parts = one.entries()
            if set(parts) != {"soft", "hard"}:
                raise one.wrong("expected a number, or soft and hard")
            made.append(f"{name}={parts['soft'].string()}:{parts['hard'].string()}")
        else:
            made.append(f"{name}={one.string()}")
    return made


KEYS: dict[str, tuple[str, Keyed]] = {
    "context": ("context", At.string),
    "dockerfile": ("dockerfile", At.string),
    "dockerfile_inline": ("dockerfile-inline", At.string),
    "target": ("target", At.string),
    "network": ("network", At.string),
    "shm_size": ("shm-size", At.string),
    "tags": ("tags", At.strings),
    "platforms": ("platforms", At.strings),
    "cache_from": ("cache-from", At.strings),
    "cache_to": ("cache-to", At.strings),
    "entitlements": ("entitlements", At.strings),
    "args": ("args", _args),
    "labels": ("labels", _texts),
    "extra_hosts": ("extra-hosts", _hosts),
    "additional_contexts": ("contexts", _contexts),
    "ssh": ("ssh", _agents),
    "ulimits": ("ulimits", _limits),
    "no_cache": ("no-cache", At.flag),
    "pull": ("pull", At.flag),
}
"""The keys of ``build``: what they are called in a plan, and how their values are read."""
ATTESTATIONS = ("provenance", "sbom")


def _target(parts: Mapping[str, At], secrets: Mapping[str, At]) -> dict[str, Json]:
    build = parts["build"]
    made: dict[str, Json] = {}
    if build.value.kind == "scalar":
        made["context"] = build.string()
    for name, at in ({} if made else build.entries()).items():
        if name in KEYS:
            key, read = KEYS[name]
            made[key] = read(at)
        elif name == "secrets":
            made["secret"] = [_secret(item, secrets) for item in at.items()]
        elif (name in ATTESTATIONS and at.value.scalar is False) or (name.startswith("x-") and name != "x-bake"):
            continue
        elif name == "privileged" and at.value.scalar is True:
            made.setdefault("entitlements", []).append("security.insecure")
        elif name in ATTESTATIONS:
            raise at.wrong("img makes no attestations", "leave it out")
        else:
            entry = next(entry for entry in build.value.entries if entry.name == name)
            raise at.wrong("img does not know this key", near(name, (*KEYS, "secrets"), "keys here"), entry)
    if "dockerfile" in made and "dockerfile-inline" in made:
        raise build.wrong("it has dockerfile and dockerfile_inline", "leave out one of them")
    if "image" in parts:
        made["tags"] = [parts["image"].string(), *made.get("tags", [])]
    if "platforms" not in made and "platform" in parts:
        made["platforms"] = [parts["platform"].string()]
    return made


def _secret(item: At, secrets: Mapping[str, At]) -> str:
    """One of a build's secrets as ``--secret`` has it. A step names it by its ``target``, or else its name."""
    keys = {"source": item} if item.value.kind == "scalar" else item.entries()
    if "source" not in keys:
        raise item.wrong("the key source is missing")
    name = keys["source"].string()
    if name not in secrets:
        raise item.wrong(
            f"there is no secret {name!r}", near(name, tuple(secrets), "secrets at the top") if secrets else ""
        )
    source = secrets[name].entries()
    id = keys["target"].string() if "target" in keys else name
    if "file" in source:
        return f"id={id},src={source['file'].string()}"
    if "environment" in source:
        return f"id={id},type=env,env={source['environment'].string()}"
    raise secrets[name].wrong("a secret of a build has file or environment")
