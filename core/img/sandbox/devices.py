"""Device nodes of a step beyond those that every step has."""

from __future__ import annotations

import os
import stat
from typing import Any

from img.sandbox import libc

_KINDS = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}


def make(item: dict[str, Any]) -> None:
    """Make the node ``target``, or, where this user namespace may not, mount the host's own node (named from the old
    root, the current folder) on it. Raises `OSError`."""
    target, source = item["target"], f".{item['source']}"
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    mode, device = wanted(item, source)
    try:
        os.mknod(target, mode, device)
    except PermissionError:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        libc.mount(source, target, "", libc.MS_BIND)
        return
    except FileExistsError:
        libc.mount(source, target, "", libc.MS_BIND)
        return
    os.chmod(target, stat.S_IMODE(mode))
    os.chown(target, item["uid"] or 0, item["gid"] or 0)


def wanted(item: dict[str, Any], source: str) -> tuple[int, int]:
    """Kind with mode, and number: as the specification has them, else as the host's node has them."""
    status = os.stat(source) if os.path.exists(source) else None
    bits = item["mode"] if item["mode"] is not None else stat.S_IMODE(status.st_mode) if status else 0o666
    if item["major"] is not None:
        number = os.makedev(item["major"], item["minor"] or 0)
    else:
        number = status.st_rdev if status else 0
    if item["type"] in _KINDS:
        return _KINDS[item["type"]] | bits, number
    return (stat.S_IFMT(status.st_mode) if status else stat.S_IFCHR) | bits, number
