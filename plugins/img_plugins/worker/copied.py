"""Around and under a step on the rung *copy + chroot*: its root is a plain copy, its changes are found by an index.

A root that a step has left is kept until the end of the run for the step that comes next in its chain: it is what a copy
of the layers up to there would be. Everything here runs in the step's child of the sandbox.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from img.errors import BackendError
from img.oci.changes import collect, index, unlink_twins
from img.oci.copies import lay
from img.sandbox import chrooted
from img_plugins.worker import ground
from img_plugins.worker.placed import Placement

LACKS = frozenset(
    {
        "network.none",
        "network.sandbox",
        "security.insecure",
        "devices",
        "hostname",
        "mount.tmpfs.size",
        "mount.cache.live",
        "proc",
    }
)
"""Abilities that take namespaces and mounts."""


def as_copied(step: dict[str, Any], copies: str) -> dict[str, Any]:
    """`step` for this rung; `copies` is the folder where roots wait. Raises `BackendError` for what it promises and
    this rung can't keep."""
    if step["network"] in ("none", "sandbox"):
        raise _refused(f"--network={step['network']}")
    if step["insecure"]:
        raise _refused("--security=insecure")
    here = f"{__name__}:"
    return {
        **step,
        "copies": copies,
        "root": f"{os.path.dirname(step['upper'])}/root",
        "before": f"{here}prepare",
        "run": f"{here}run",
        "after": f"{here}finish",
    }


def _refused(what: str) -> BackendError:
    return BackendError(
        f"{what} takes namespaces, and this machine allows none: steps run in a copy with chroot",
        hint="img doctor says what would allow them",
    )


def prepare(step: dict[str, Any]) -> dict[str, Any]:
    """Before a step: `ground.prepare`, and the root."""
    step = ground.prepare(step)
    _make_root(step["lower"], step["root"], step["copies"])
    return step


def _make_root(trees: Sequence[str], root: str, copies: str) -> None:
    """Take over the root that waits for these trees, or for the longest run of them; lay the rest over it."""
    for count in range(len(trees), 0, -1):
        with suppress(FileNotFoundError):
            os.rename(f"{copies}/{key_of(names_of(trees[:count]))}", root)
            break
    else:
        count = 0
        os.mkdir(root, 0o755)
    for tree in trees[count:]:
        lay(tree, root)


def names_of(trees: Sequence[str]) -> list[str]:
    """The names of the trees' folders in the store, which are their content's."""
    return [os.path.basename(os.path.dirname(tree)) for tree in trees]


def key_of(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def run(step: dict[str, Any], fds: list[int], job: socket.socket) -> dict[str, Any]:
    """Put the mounts into the root, run the process, take them out, and collect what has changed."""
    memory = os.dup(fds[2]) if len(fds) > 2 else None
    before = index(step["root"])  # as it will be again when the mounts are out
    placement = Placement(step["root"], f"{step['work']}/placed", memory)
    try:
        try:
            placement.system()
            for item in step["mounts"]:
                placement.mount(item)
        except OSError as error:
            return {"failed": ["root", error.errno or 0, error.strerror or str(error), error.filename or ""]}
        reply = chrooted.supervise(step, fds, job)
    finally:
        placement.take_out()
        if memory is not None:
            os.close(memory)
    if reply.get("status") == 0:
        collect(step["root"], before, step["upper"])
    return {**reply, "without_proc": True}


def finish(step: dict[str, Any]) -> dict[str, Any]:
    """After a step: what `ground.finish` does, and keep the root for the next one."""
    made = ground.finish(step)
    unlink_twins(step["root"], step["upper"])
    kept = f"{step['copies']}/{key_of([*names_of(step['lower']), made['id'].removeprefix('sha256:')])}"
    with suppress(OSError):
        os.rename(step["root"], kept)
    return made
