"""Devices of the machine for a step, by the Container Device Interface (CDI 0.8): specification files say what a name means.

Files ``*.json``, and ``*.yaml`` or ``*.yml`` if PyYAML is there, in the folders of the setting ``cdi`` (separated by ":"; a
later folder wins). Of their ``containerEdits`` the variables, device nodes, mounts and groups are applied. Hooks are programs
of the host that would run as whoever builds: they are refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from img.errors import BackendError, UsageError
from img.ir.nodes import Exec
from img.ir.values import Device
from img.ports import Host

FOLDERS = "/etc/cdi:/var/run/cdi"
LIMIT = 4 << 20
"""Bytes of the largest specification file."""
CLASS = "org.mobyproject.buildkit.device.class"
"""The annotation that puts a device into a class (BuildKit's)."""

_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_APPLIED = ("env", "deviceNodes", "mounts", "additionalGids")

Json = Mapping[str, Any]


@dataclass(slots=True)
class Edits:
    """What the devices of one step add to it, as the sandbox wants it."""

    mounts: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """One device of one specification file."""

    kind: str
    name: str
    classes: tuple[str, ...]
    edits: tuple[Json, ...]
    """Those of its file, then its own."""
    file: str


def resolve_devices(host: Host, node: Exec) -> Edits:
    """What the devices that `node` asks for add to its step; those that are not there are left out unless required.

    Raises `UsageError` for a device that was not granted, or is required and missing; `BackendError` for a
    specification that is wrong, or asks for what a build never does.
    """
    edits = Edits()
    if not node.devices:
        return edits
    granted = host.settings.get("allow", "").split()
    known = list(read_entries((host.settings.get("cdi") or FOLDERS).split(":")))
    for device in node.devices:
        _check(device, granted)
        found = find(known, device.name)
        if not found and device.required:
            names = ", ".join(f"{entry.kind}={entry.name}" for entry in known[:8]) or "none"
            raise UsageError(f"there is no device {device.name!r} on this machine", hint=f"CDI knows {names}")
        for entry in found:
            for one in entry.edits:
                _apply(edits, one, entry)
    return edits


def _check(device: Device, granted: Sequence[str]) -> None:
    if "device" not in granted and f"device={device.name}" not in granted:
        hint = f"allow it with --allow device={device.name}"
        raise UsageError(f"the step asks for the device {device.name!r}, which was not granted", hint=hint)


def find(known: Sequence[Entry], name: str) -> list[Entry]:
    """The devices that `name` means: ``vendor/class=device``, ``vendor/class=*`` (all), ``vendor/class`` (the first), or
    a class by annotation."""
    kind, equals, device = name.partition("=")
    if "/" not in kind:
        return [entry for entry in known if name in entry.classes]
    ours = [entry for entry in known if entry.kind == kind]
    if device == "*":
        return ours
    if not equals:
        return ours[:1]
    return [entry for entry in ours if entry.name == device]


# --- specification files -------------------------------------------------------------------------------------------


def read_entries(folders: Sequence[str]) -> Iterator[Entry]:
    """Every device of the files in `folders`, by name; of two with one name that of the later folder."""
    entries: dict[tuple[str, str], Entry] = {}
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BackendError(f"the folder of device specifications {folder}: {error.strerror}") from error
        for name in names:
            if name.endswith((".json", ".yaml", ".yml")):
                for entry in _entries(Path(folder) / name):
                    entries[entry.kind, entry.name] = entry
    yield from (entries[key] for key in sorted(entries))


def _entries(path: Path) -> Iterator[Entry]:
    document = _document(path)
    kind = document.get("kind")
    if not isinstance(kind, str) or not _KIND.match(kind):
        raise BackendError(f"{path}: its kind must be vendor/class, not {kind!r}")
    shared = _object(document.get("containerEdits", {}), path)
    notes = _object(document.get("annotations") or {}, path)
    devices = document.get("devices")
    if not isinstance(devices, list):
        raise BackendError(f"{path}: it has no list of devices")
    for device in devices:
        name = _object(device, path).get("name")
        if not isinstance(name, str):
            raise BackendError(f"{path}: a device has no name")
        classes = _object(device.get("annotations") or {}, path).get(CLASS) or notes.get(CLASS) or ""
        own = _object(device.get("containerEdits", {}), path)
        yield Entry(kind, name, (str(classes),) if classes else (), (shared, own), os.fspath(path))


def _document(path: Path) -> Json:
    try:
        with path.open("rb") as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        raise BackendError(f"the device specification {path} can't be read: {error.strerror}") from error
    if len(data) > LIMIT:
        raise BackendError(f"the device specification {path} is larger than {LIMIT >> 20} MiB")
    if path.suffix == ".json":
        try:
            return _object(json.loads(data), path)
        except ValueError as error:
            raise BackendError(f"the device specification {path} is not JSON: {error}") from error
    try:
        import yaml
    except ImportError as error:
        hint = "install PyYAML, or write the specification as JSON"
        raise BackendError(f"the device specification {path} is YAML, which needs PyYAML", hint=hint) from error
    try:
        return _object(yaml.safe_load(data), path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BackendError(f"the device specification {path} is not YAML: {error}") from error


def _object(value: Any, path: Path | str) -> Json:
    if not isinstance(value, dict):
        raise BackendError(f"the device specification {path} has {value!r:.60} where an object must be")
    return value


# --- what they change ----------------------------------------------------------------------------------------------


def _apply(edits: Edits, change: Json, entry: Entry) -> None:
    for name in change:
        if name == "hooks" and change[name]:
            raise BackendError(
                f"the device {entry.kind}={entry.name} wants to run hooks on the host, which a build never does",
                hint=f"leave them out of {entry.file}",
            )
        if name not in _APPLIED and change[name]:
            raise BackendError(f"the device {entry.kind}={entry.name} asks for {name}, which a build step can't have")
    for text in change.get("env") or []:
        variable, equals, value = str(text).partition("=")
        if not equals:
            raise BackendError(f"{entry.file}: {text!r} is not NAME=VALUE")
        edits.environment[variable] = value
    edits.mounts += [_node(_object(item, entry.file), entry) for item in change.get("deviceNodes") or []]
    edits.mounts += [_mount(_object(item, entry.file), entry) for item in change.get("mounts") or []]
    edits.groups += [int(number) for number in change.get("additionalGids") or []]


def _node(item: Json, entry: Entry) -> dict[str, Any]:
    target = _absolute(item.get("path"), entry)
    source = item.get("hostPath") or target
    if not os.path.exists(source) and "major" not in item:
        raise BackendError(f"the device {entry.kind}={entry.name} names {source}, which this machine does not have")
    return {
        "kind": "device",
        "target": target,
        "source": source,
        "file": True,
        "type": item.get("type", ""),
        "major": item.get("major"),
        "minor": item.get("minor"),
        "mode": item.get("fileMode"),
        "uid": item.get("uid"),
        "gid": item.get("gid"),
    }


def _mount(item: Json, entry: Entry) -> dict[str, Any]:
    source = _absolute(item.get("hostPath"), entry)
    options = item.get("options") or []
    if item.get("type") not in (None, "", "bind", "none"):
        raise BackendError(f"the device {entry.kind}={entry.name} wants a mount of type {item['type']}, not a bind")
    if not os.path.exists(source):
        raise BackendError(f"the device {entry.kind}={entry.name} mounts {source}, which this machine does not have")
    return {
        "kind": "bind",
        "source": os.path.realpath(source),
        "target": _absolute(item.get("containerPath"), entry),
        "file": not os.path.isdir(source),
        "readonly": "rw" not in options,
    }


def _absolute(path: Any, entry: Entry) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise BackendError(f"{entry.file}: {path!r} is not an absolute path")
    return os.path.normpath(path)
