"""``RUN --mount``: comma-separated options to the mounts of the IR (spec: RUN --mount options).

Options that mean nothing for a type are let be where BuildKit does so. An option given twice is an error here.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches

from img.errors import FrontendError, Place
from img.ir.nodes import Copy, Node, Scratch, Source
from img.ir.values import Bind, CacheDir, Mount, Notes, Secret, Sharing, Ssh, Tmpfs

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite"}
SWITCHES = ("readonly", "readwrite", "required")
KEYS = (
    "type",
    "target",
    "source",
    "from",
    *SWITCHES,
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "size",
    "env",
)
ONLY = {
    "sharing": ("cache",),
    "mode": ("cache", "secret", "ssh"),
    "uid": ("cache", "secret", "ssh"),
    "gid": ("cache", "secret", "ssh"),
    "size": ("tmpfs",),
    "required": ("secret", "ssh"),
    "env": ("secret",),
}
"""Options that only some types have."""

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])(?:i?b)?|b)?\Z", re.I)
_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")

Expand = Callable[[str], str]
Options = dict[str, str]
Lookup = Callable[[str, Place], Node]
"""The files a ``from=`` names: a stage or an image."""


def read_options(text: str, place: Place, expand: Expand = str) -> Options:
    """The options of one ``--mount`` by their full names, values expanded. Raises `FrontendError`."""
    options: Options = {}
    for field in _fields(text, place):
        written, equals, value = field.partition("=")
        name = ALIASES.get(written.lower(), written.lower())
        if name not in KEYS:
            raise _unknown(written, field, place)
        if not equals:
            if name not in (*SWITCHES, "env"):
                raise FrontendError(f"the mount option {field!r} must be name=value", place=place)
            value = "" if name == "env" else "true"
        if name == "from" and re.search(r"\$.", value):
            hint = "give the image a stage of its own before this one: FROM … AS name"
            raise FrontendError("'from' doesn't support variable expansion", hint=hint, place=place)
        if name in options:
            raise FrontendError(f"the mount option {name!r} is given twice", hint="leave one of them", place=place)
        options[name] = value if name == "from" else expand(value)
    return options


def check_options(options: Options, place: Place) -> str:
    """The type of the mount that expanded options describe. Raises `FrontendError` if they don't go together."""
    kind = options.get("type", "bind").lower()
    if kind not in TYPES:
        near = get_close_matches(kind, TYPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"types: {', '.join(TYPES)}"
        raise FrontendError(f"unsupported mount type {options['type']!r}", hint=hint, place=place)
    for name, kinds in ONLY.items():
        if name in options and kind not in kinds:
            hint = f"only mounts of type {', '.join(kinds)} have it"
            raise FrontendError(f"a {kind} mount has no option {name!r}", hint=hint, place=place)
    for name in SWITCHES:
        _switch(options, name, False, place)
    for name in ("mode", "uid", "gid"):
        _number(options, name, 0, place)
    if "size" in options:
        _size(options["size"], place)
    if options.get("sharing", "shared").lower() not in tuple(Sharing):
        near = get_close_matches(options["sharing"], tuple(Sharing), 1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(Sharing)}"
        raise FrontendError(f"sharing can't be {options['sharing']!r}", hint=hint, place=place)
    _check_names(kind, options, place)
    return kind


def _check_names(kind: str, options: Options, place: Place) -> None:
    if kind in ("bind", "cache", "tmpfs") and not options.get("target"):
        raise FrontendError(f"a {kind} mount needs a target", hint="add target=…", place=place)
    if kind == "ssh" and options.get("source"):
        raise FrontendError("a ssh mount has no option 'source'", hint="name the agent with id=…", place=place)
    if kind == "secret":
        if options.get("from"):
            hint = "secrets come from --secret of the build, never from a stage"
            raise FrontendError("a secret mount has no option 'from'", hint=hint, place=place)
        if options.get("source") and options.get("id"):
            raise FrontendError("a secret mount takes id or source, not both", place=place)
        if not (options.get("source") or options.get("id") or options.get("target")):
            raise FrontendError("a secret mount needs an id", hint="add id=…", place=place)


class MountReader:
    """Reads the mounts of one RUN: `namespace` goes before the ids of cache mounts, `notes` are the RUN's."""

    def __init__(
        self, cwd: str, find: Lookup, context: Callable[[], Node], namespace: str = "", notes: Notes = Notes()
    ) -> None:
        self._cwd = cwd
        self._find = find
        self._context = context
        self._namespace = namespace
        self._notes = notes

    def read(self, text: str, place: Place, expand: Expand, number: int) -> Mount:
        """One ``--mount`` value; `number` counts the ssh mounts before it. Raises `FrontendError`."""
        options = read_options(text, place, expand)
        kind = check_options(options, place)
        target = options.get("target", "")
        if target:
            target = "/" + posixpath.normpath(posixpath.join("/", self._cwd, target)).lstrip("/")
            if target == "/":
                raise FrontendError("a mount can't take the place of /", hint="choose another target", place=place)
        if kind == "tmpfs":
            return Tmpfs(target, _size(options["size"], place) if "size" in options else 0)
        if kind == "bind":
            return self._bind(options, target, place)
        if kind == "cache":
            return self._cache(options, target, place)
        uid, gid = _number(options, "uid", 0, place), _number(options, "gid", 0, place)
        required = _switch(options, "required", False, place)
        if kind == "ssh":
            mode = _number(options, "mode", 0o600, place)
            target = target or f"/run/buildkit/ssh_agent.{number}"
            return Ssh(options.get("id") or "default", target, mode, uid, gid, required)
        id = options.get("source") or options.get("id") or posixpath.basename(options["target"])
        env = (options["env"] or id) if "env" in options else ""
        target = target or ("" if env else f"/run/secrets/{posixpath.basename(id)}")
        return Secret(id, target, env, _number(options, "mode", 0o400, place), uid, gid, required)

    def _bind(self, o: Options, target: str, place: Place) -> Bind:
        path = _source(o)
        readonly = not _switch(o, "readwrite", False, place) if "readwrite" in o else True
        readonly = _switch(o, "readonly", readonly, place)
        node = self._find(o["from"], place) if o.get("from") else self._context()
        return Bind(self._mountable(node, path, target), target, path, readonly)

    def _cache(self, o: Options, target: str, place: Place) -> CacheDir:
        path = _source(o)
        node = self._mountable(self._find(o["from"], place), path, target) if o.get("from") else None
        id = o.get("id") or posixpath.normpath(o["target"])
        return CacheDir(
            f"{self._namespace}/{id}" if self._namespace else id,
            target,
            Sharing(o.get("sharing", "shared").lower()),
            _number(o, "mode", 0o755, place),
            _number(o, "uid", 0, place),
            _number(o, "gid", 0, place),
            node,
            path,
            _switch(o, "readonly", not _switch(o, "readwrite", True, place), place),
        )

    def _mountable(self, node: Node, path: str, target: str) -> Node:
        """`node` as something a step can mount: of a folder, `path` is copied onto nothing first."""
        if not isinstance(node, Source) or node.is_image:
            return node
        taken = path.lstrip("/")
        notes = replace(self._notes, title=f"[internal] files for the mount on {target}")
        return Copy(Scratch(), node, (taken,), path if taken else "/", literal=True, notes=notes)


def _source(options: Options) -> str:
    return "/" + posixpath.normpath(posixpath.join("/", options.get("source", ""))).lstrip("/")


def _fields(text: str, place: Place) -> list[str]:
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        hint = 'quote a whole option, e.g. "target=/a,b"'
        raise FrontendError(f"{text!r} is no comma-separated list of options", hint=hint, place=place) from None


def _unknown(name: str, field: str, place: Place) -> FrontendError:
    names = [*KEYS, *ALIASES]
    near = get_close_matches(name.lower(), names, 1)
    hint = f"did you mean {near[0]}?" if near else f"options: {', '.join(KEYS)}"
    return FrontendError(f"unexpected key {name!r} in {field!r}", hint=hint, place=place)


def _switch(options: Options, name: str, default: bool, place: Place) -> bool:
    if name not in options:
        return default
    value = options[name].lower()
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise FrontendError(f"{name} is true or false, not {options[name]!r}", place=place)


def _number(options: Options, name: str, default: int, place: Place) -> int:
    if name not in options:
        return default
    text, base = options[name], 8 if name == "mode" else 10
    try:
        if text.isascii() and text.isdigit() and int(text, base) < 2**32:
            return int(text, base)
    except ValueError:
        pass
    hint = "octal, e.g. 0755" if name == "mode" else "a number, e.g. 1000; names are not looked up here"
    raise FrontendError(f"invalid value {text!r} for {name}", hint=hint, place=place)


def _size(text: str, place: Place) -> int:
    """Bytes; k, m, g, t and p are powers of 1024."""
    match = _SIZE.match(text)
    if match is None:
        raise FrontendError(f"size={text} is not a size", hint="e.g. 64m", place=place)
    return int(float(match[1]) * 1024 ** (" kmgtp".index(match[2].lower()) if match[2] else 0))
