"""Secrets of a step: out of a memory file that the engine handed over, into a private tmpfs or the environment.

The engine writes all secrets of a step into one anonymous memory file (memfd_create(2)); steps name slices of it. Their
bytes are thus in no message, no argument and no file on a disk, and never in the memory of the helper itself.
"""

from __future__ import annotations

import os
from typing import Any

from img.sandbox import libc

_FLAGS = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC


def lay_out(work: str, mounts: list[dict[str, Any]], memory: int, *, owned: bool = True) -> None:
    """Turn every ``secret`` of `mounts` into a bind of a file in a tmpfs of the step's own.

    `memory` is the memory file. Unless `owned`, all are this process's own, and a recorder says whose they are. Raises
    `OSError` naming the target whose owner is no id here.
    """
    wanted = [item for item in mounts if item["kind"] == "secret"]
    if not wanted:
        return
    folder = f"{work}/secrets"
    os.mkdir(folder, 0o700)
    size = sum(item["size"] for item in wanted) + 8192 * (len(wanted) + 1)
    options = f"mode=711,size={size}"
    try:
        libc.mount("tmpfs", folder, "tmpfs", _FLAGS, f"{options},noswap")
    except OSError:  # Linux before 6.4, or a user namespace
        libc.mount("tmpfs", folder, "tmpfs", _FLAGS, options)
    for number, item in enumerate(wanted):
        path = f"{folder}/{number}"
        _write(path, os.pread(memory, item["size"], item["at"]))
        try:
            if owned:
                os.chown(path, item["uid"], item["gid"])
        except OSError as error:
            raise OSError(error.errno, f"no such owner here: {item['uid']}:{item['gid']}", item["target"]) from error
        os.chmod(path, item["mode"])
        item.update(kind="bind", source=path, readonly=True)


def _write(path: str, data: bytes) -> None:
    with open(path, "xb", buffering=0) as out:
        view = memoryview(data)
        while view:
            view = view[out.write(view) :]


def environment(step: dict[str, Any], memory: int | None) -> dict[str, str]:
    """The variables of the step, with those of its secrets (``env_secrets``: name, offset, size) over them."""
    found = dict(step["env"])
    if memory is not None:
        for name, at, size in step.get("env_secrets", []):
            found[name] = os.fsdecode(os.pread(memory, size, at))
    return found
