"""What runtimes do each in their own way, or not at all, made ready in the step's mount namespace before one starts."""

from __future__ import annotations

import os
from typing import Any

from img.sandbox import libc, root
from img_plugins.worker.nodes import note

_DEVICES = "devices"

Json = dict[str, Any]


def make_ready(step: Json) -> None:
    """Turn every mount of kind ``tmpfs`` and ``device`` into a ``bind``, and note as ``allowed`` which capabilities (a bit
    set) may be given at all, and as ``devices`` the folder that is to be its /dev, if it may not be made by the runtime.
    Raises `OSError`."""
    for item, place in _placed(step):
        (_tmpfs if item["kind"] == "tmpfs" else _device)(item, place)
    step["allowed"] = _bounding()
    step["devices"] = "" if step.get("userns") or step.get("insecure") else _devices(f"{step['work']}/{_DEVICES}")


def places(step: Json) -> list[str]:
    """Where `make_ready` will mount."""
    return [*(place for _, place in _placed(step)), f"{step['work']}/{_DEVICES}"]


def _placed(step: Json) -> list[tuple[Json, str]]:
    numbered = enumerate(step["mounts"])
    return [(m, f"{step['work']}/{m['kind']}-{number}") for number, m in numbered if m["kind"] in ("tmpfs", "device")]


def _tmpfs(item: Json, place: str) -> None:
    """runc gives a tmpfs the mode of the folder that it is mounted on."""
    os.mkdir(place)
    size = f",size={item['size']}" if item.get("size") else ""
    libc.mount("tmpfs", place, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, f"mode={item.get('mode', 0o1777):o}{size}")
    item.update(kind="bind", source=place, options=["nosuid", "nodev"])


def _devices(place: str) -> str:
    """In a /dev that a runtime makes as root, nodes that a step makes could be opened, unless a cgroup keeps it from that."""
    os.mkdir(place)
    root.lay_devices(place, "")
    for target, link in root.LINKS:
        os.symlink(target, f"{place}/{link.rpartition('/')[2]}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{place}/{name}", 0o755)
    return place


def _device(item: Json, place: str) -> None:
    """A node of its own, as the specification has it; the machine's where this user namespace may make none."""
    os.mkdir(place)
    libc.mount("tmpfs", place, "tmpfs", libc.MS_NOSUID | libc.MS_NOEXEC, "mode=755,size=16k")
    node = f"{place}/node"
    try:
        mode, number = note(item)
        os.mknod(node, mode, number)
        os.chmod(node, mode & 0o7777)
        os.chown(node, item["uid"] or 0, item["gid"] or 0)
    except PermissionError:
        node = item["source"]
    item.update(kind="bind", source=node, options=["dev"])


def _bounding() -> int:
    """The capabilities that this process could have."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        words = next((line.split() for line in lines if line.startswith("CapBnd:")), ["", "0"])
    return int(words[1], 16)
