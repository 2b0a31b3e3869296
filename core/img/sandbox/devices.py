"""Device nodes of a step beyond those that every step has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from img.sandbox import libc

_KINDS = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}


@contextmanager
def openable(folder: str) -> Iterator[str]:
    """A folder for nodes that can be opened, for the time of the block: what is mounted from there can be ever after, while
    ``/dev`` itself is mounted so that nodes that a step makes can't. `folder` is where it may be made."""
    nodes = f"{folder}/.nodes"
    os.mkdir(nodes, 0o700)
    libc.mount("tmpfs", nodes, "tmpfs", libc.MS_NOSUID | libc.MS_NOEXEC, "mode=700,size=16k")
    try:
        yield nodes
    finally:
        libc.umount(nodes, libc.MNT_DETACH)
        os.rmdir(nodes)


def make(item: dict[str, Any]) -> None:
    """Mount a new node at ``target``, or, where this user namespace may make none, the host's own (named from the old
    root, the current folder). Raises `OSError`."""
    target, source = item["target"], f".{item['source']}"
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    mode, device = wanted(item, source)
    with suppress(FileExistsError):
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    with openable("/dev") as nodes:
        own = f"{nodes}/node"
        try:
            os.mknod(own, mode, device)
        except PermissionError:
            libc.mount(source, target, "", libc.MS_BIND)
            return
        os.chmod(own, stat.S_IMODE(mode))
        os.chown(own, item["uid"] or 0, item["gid"] or 0)
        libc.mount(own, target, "", libc.MS_BIND)


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
