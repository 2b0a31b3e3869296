"""The mounts of a step where containerd sees them.

containerd mounts a task's root itself, but not what lies in it: a stack of another step's trees, the memory that secrets
are in, device nodes have to be mounted before. They are mounted in containerd's mount namespace by a process that does
nothing else and unmounts them when the other end of its pipe closes, however that happens.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from img.sandbox import libc, root
from img.sandbox.network import Attached
from img.sandbox.step import loopback, read_all
from img_plugins.worker.ready import make_ready, places


class Laid(NamedTuple):
    """What was laid."""

    step: dict[str, Any]
    """The step with mounts that are all of kind bind."""
    rootfs: dict[str, Any]
    """The mount that is the task's root, in containerd's words."""
    network: str
    """The path of the network namespace that leads outside only; empty unless the step wants one."""
    release: Callable[[], None]
    """Unmounts; returns when that is done."""


def lay(step: dict[str, Any], memory: int | None, attached: Attached | None, others: list[int]) -> Laid:
    """Mount what `step` needs in the mount namespace of the process ``peer``, and make the network that is `attached`. The new
    process closes the descriptors `others`. Raises `OSError`, and `Refused` if there is no such network."""
    told, hold = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        for fd in (told[0], hold[1], *others):
            os.close(fd)
        _hold(step, memory, attached, told[1], hold[0])
    os.close(told[1])
    os.close(hold[0])

    def release() -> None:
        os.close(hold[1])
        os.waitpid(child, 0)

    if attached is not None:
        try:
            attached.serve(child)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            release()
            raise
    found = json.loads(read_all(told[0]) or b'{"failed": [0, "the process that mounts died", ""]}')
    if "failed" in found:
        release()
        number, text, name = found["failed"]
        raise OSError(number, text, name)
    leads = "" if attached is None else f"/proc/{child}/ns/net"
    return Laid({**step, **found["step"]}, found["rootfs"], leads, release)


def _hold(step: dict[str, Any], memory: int | None, attached: Attached | None, told: int, hold: int) -> None:
    """The process: mount, tell, wait, unmount."""
    laid = _places(step)
    try:
        libc.prctl(libc.PR_SET_PDEATHSIG, 0)
        if attached is not None:
            libc.unshare(libc.CLONE_NEWNET)
            attached.wait()
            loopback()
        namespace = os.open(f"/proc/{step['peer']}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        libc.setns(namespace, libc.CLONE_NEWNS)
        for folder in {os.path.dirname(place) for place in laid}:
            os.chmod(folder, 0o700)  # others on this machine see these mounts
        root.lay_mounts(step, memory)
        make_ready(step)
        ready = {name: step[name] for name in ("mounts", "allowed", "devices")}
        answer: dict[str, Any] = {"step": ready, "rootfs": _rootfs(step)}
    except OSError as error:
        answer = {"failed": [error.errno or 0, error.strerror or str(error), error.filename or ""]}
    except BaseException as error:
        answer = {"failed": [0, repr(error), ""]}
    try:
        os.write(told, json.dumps(answer).encode())
        os.close(told)
        os.read(hold, 1)
    finally:
        for place in laid:
            with suppress(OSError):
                libc.umount(place, libc.MNT_DETACH)
        os._exit(0)


def _places(step: dict[str, Any]) -> list[str]:
    """Where `root.lay_mounts` and `make_ready` mount."""
    views = [f"{item['work']}/root" for item in step["mounts"] if item["kind"] == "view"]
    return [*views, *places(step), f"{step['work']}/secrets"]


def _rootfs(step: dict[str, Any]) -> dict[str, Any]:
    """The overlay. When its options do not fit into a page containerd names the layers from the folder they share, which
    is why they are links in one (`root.name_layers`)."""
    names, count = root.name_layers(step["work"], step["lower"], step["upper"])
    stack = ":".join(f"{names}/{number}" for number in range(count))
    options = [f"lowerdir={stack}", f"upperdir={step['upper']}", f"workdir={step['work']}/overlay", "userxattr"]
    options += ["volatile"] if step.get("insecure") else ["volatile", "nodev"]
    return {"type": "overlay", "source": "overlay", "options": options}
