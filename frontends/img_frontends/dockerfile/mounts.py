"""``RUN --mount``: comma-separated options to the mounts of the IR (spec: RUN --mount options)."""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Callable
from difflib import get_close_matches

from img.errors import FrontendError, Place
from img.ir.nodes import Copy, Node, Scratch
from img.ir.values import Bind, CacheDir, Mount, Secret, Sharing, Ssh, Tmpfs

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite"}
SWITCHES = ("readonly", "readwrite", "required")
ALLOWED = {
    "bind": ("from", "source", "target", "readonly", "readwrite"),
    "cache": ("id", "sharing", "from", "source", "target", "mode", "uid", "gid", "readonly", "readwrite"),
    "tmpfs": ("target", "size"),
    "secret": ("id", "source", "target", "env", "required", "mode", "uid", "gid"),
    "ssh": ("id", "target", "required", "mode", "uid", "gid"),
}
_SIZE = re.compile(r"([0-9]+)([bkmgt]?)b?\Z", re.I)

Lookup = Callable[[str, Place], Node]
"""The files a ``from=`` names: a stage, an image, or (empty) the context."""


class MountReader:
    """Reads the mounts of one RUN."""

    def __init__(self, cwd: str, find: Lookup, context: Callable[[], Node]) -> None:
        self._cwd = cwd
        self._find = find
        self._context = context

    def read(self, text: str, place: Place, number: int) -> Mount:
        """One ``--mount`` value. Raises `FrontendError`."""
        options = _options(text, place)
        kind = options.pop("type", "bind")
        if kind not in TYPES:
            near = get_close_matches(kind, TYPES, 1)
            hint = f"did you mean {near[0]}?" if near else f"types: {', '.join(TYPES)}"
            raise FrontendError(f"unsupported mount type {kind!r}", hint=hint, place=place)
        for name in options:
            if name not in ALLOWED[kind]:
                near = get_close_matches(name, ALLOWED[kind], 1)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(ALLOWED[kind])}"
                raise FrontendError(f"a {kind} mount has no option {name!r}", hint=hint, place=place)
        if "target" in options:
            options["target"] = posixpath.normpath(posixpath.join(self._cwd, options["target"]))
            if options["target"] == "/":
                raise FrontendError("a mount can't take the place of /", place=place)
        elif kind in ("bind", "cache", "tmpfs"):
            raise FrontendError(f"a {kind} mount needs a target", hint="add target=…", place=place)
        return self._made(kind, options, place, number)

    def _made(self, kind: str, o: dict[str, str], place: Place, number: int) -> Mount:
        if kind == "tmpfs":
            return Tmpfs(o["target"], _size(o["size"], place) if "size" in o else 0)
        if kind == "bind":
            return self._bind(o, place)
        mode, uid, gid = (_number(o, key, place) for key in ("mode", "uid", "gid"))
        if kind == "cache":
            return self._cache(o, place, 0o755 if mode is None else mode, uid or 0, gid or 0)
        required = _on(o, "required")
        if kind == "ssh":
            target = o.get("target", f"/run/buildkit/ssh_agent.{number}")
            return Ssh(o.get("id", "default"), target, 0o600 if mode is None else mode, uid or 0, gid or 0, required)
        id = o.get("id") or o.get("source") or posixpath.basename(o.get("target", ""))
        if not id:
            raise FrontendError("a secret mount needs an id", hint="add id=…", place=place)
        target = o.get("target", "" if "env" in o else f"/run/secrets/{posixpath.basename(id)}")
        return Secret(id, target, o.get("env", ""), 0o400 if mode is None else mode, uid or 0, gid or 0, required)

    def _bind(self, o: dict[str, str], place: Place) -> Bind:
        path = posixpath.normpath(posixpath.join("/", o.get("source", "/")))
        readonly = not _on(o, "readwrite") if "readwrite" in o else _on(o, "readonly", True)
        if o.get("from"):
            return Bind(self._find(o["from"], place), o["target"], path, readonly)
        taken = path.lstrip("/")
        node = Copy(Scratch(), self._context(), (taken,), path if taken else "/", literal=True)
        return Bind(node, o["target"], path, readonly)

    def _cache(self, o: dict[str, str], place: Place, mode: int, uid: int, gid: int) -> CacheDir:
        sharing = o.get("sharing", "shared")
        if sharing not in tuple(Sharing):
            hint = f"it is one of {', '.join(Sharing)}"
            raise FrontendError(f"sharing can't be {sharing!r}", hint=hint, place=place)
        node = self._find(o["from"], place) if o.get("from") else None
        path = posixpath.normpath(posixpath.join("/", o.get("source", "/")))
        id = o.get("id", o["target"])
        return CacheDir(id, o["target"], Sharing(sharing), mode, uid, gid, node, path, _on(o, "readonly"))


def _options(text: str, place: Place) -> dict[str, str]:
    options: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        name, equals, value = field.partition("=")
        name = name.strip().lower()
        name = ALIASES.get(name, name)
        if not equals:
            if name == "env":
                value = ""
            elif name in SWITCHES:
                value = "true"
            else:
                raise FrontendError(f"the mount option {field!r} must be name=value", place=place)
        if name in SWITCHES and value.lower() not in ("true", "false", "1", "0"):
            raise FrontendError(f"{name} is true or false, not {value!r}", place=place)
        options[name] = value
    return options


def _on(options: dict[str, str], name: str, default: bool = False) -> bool:
    return options[name].lower() in ("true", "1") if name in options else default


def _number(options: dict[str, str], name: str, place: Place) -> int | None:
    if name not in options:
        return None
    try:
        return int(options[name], 8 if name == "mode" else 10)
    except ValueError:
        raise FrontendError(f"{name}={options[name]} is not a number", place=place) from None


def _size(text: str, place: Place) -> int:
    match = _SIZE.match(text)
    if match is None:
        raise FrontendError(f"size={text} is not a size", hint="e.g. 64m", place=place)
    return int(match[1]) << {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}[match[2].lower()]
