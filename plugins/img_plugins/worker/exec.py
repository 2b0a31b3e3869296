"""Running an Exec: the root from the store, the process in the sandbox, the changes back as a layer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from img.errors import BackendError, Cancelled, StepFailed
from img.ir.nodes import Exec
from img.ir.values import Network, Security, Ssh
from img.ports import Host, Result, Snapshot
from img.sandbox.client import SandboxError
from img_plugins.worker.devices import Edits, resolve_devices
from img_plugins.worker.emulation import cannot, foreign
from img_plugins.worker.lengths import check_lengths, too_long
from img_plugins.worker.limited import Limited, ended, title_of
from img_plugins.worker.mounts import Given, resolve_mounts, system_files
from img_plugins.worker.output import Output


class Process(Protocol):
    """A started step."""

    def wait(self) -> dict[str, Any]: ...

    def kill(self) -> None: ...


_BY_PROC = ("/proc/", "/dev/std", "/dev/fd")

Start = Callable[[dict[str, Any], int, int, "int | None"], Process]
"""What a backend adds: start the step (see `img.sandbox.client.Sandbox.run`) with these as stdout, stderr and the memory
file of its secrets."""


def make_exec(host: Host, node: Exec, inputs: Sequence[Result], start: Start, *, devices: bool = True) -> Snapshot:
    """Run `node` over its root, without `devices` as if the machine had none. Raises `StepFailed`, `BackendError`,
    `FileError`, `Cancelled`."""
    base = inputs[0]
    if not isinstance(base, Snapshot):
        raise BackendError("a step can only run over a snapshot")
    check_lengths(node)
    trees = host.store.layers.trees(base)
    work = host.store.scratch()
    try:
        with ExitStack() as held:
            given = Given(host, node, work, held)
            step = _step(given, inputs, trees, devices)
            made = _run(host, node, step, given.memory.descriptor, start)
        id = host.store.layers.add_tree(Path(step["upper"]), made["id"])
    finally:
        host.store.discard(work)
    return Snapshot((*base.layers, id))


def _step(given: Given, inputs: Sequence[Result], trees: list[str], able: bool) -> dict[str, Any]:
    host, node, work = given.host, given.node, given.work
    devices = resolve_devices(host, node) if able else Edits()
    confinement = node.confinement
    network = confinement.network
    wanted = host.settings.get("network") or "host" if network is Network.DEFAULT else network.value
    mounts = [*system_files(node, work, wanted), *resolve_mounts(given, inputs), *devices.mounts]
    environment = dict(node.proxies) | dict(node.env) | dict(devices.environment)
    for agent in [mount.target for mount in node.mounts if isinstance(mount, Ssh)][:1]:
        environment.setdefault("SSH_AUTH_SOCK", agent)
    return {
        "lower": trees,
        "upper": os.fspath(work / "upper"),
        "work": os.fspath(work / "work"),
        "before": "img_plugins.worker.ground:prepare",
        "after": "img_plugins.worker.ground:finish",
        "argv": list(node.argv),
        "env": [[name, value] for name, value in environment.items()],
        "cwd": node.cwd,
        "env_secrets": given.environment,
        "user": node.user,
        "groups": list(devices.groups),
        "mounts": mounts,
        "network": wanted,
        "network_program": _network_program() if wanted == "sandbox" else "",
        "resources": confinement.resources.document(),
        "cgroup": host.settings.get("cgroup_parent", ""),
        "hostname": confinement.hostname,
        "shm_size": confinement.shm_size,
        "limits": [[limit.name, limit.soft, limit.hard] for limit in confinement.limits],
        "insecure": confinement.security is Security.INSECURE,
    }


def _network_program() -> str:
    from img.sandbox.network import find

    return find()


def _run(host: Host, node: Exec, step: dict[str, Any], memory: int | None, start: Start) -> dict[str, Any]:
    """Run the step's process; returns what `ground.finish` said."""
    if host.cancelled:
        raise Cancelled
    output = Output(host, node.digest)
    process = start(step, *output.ends, memory)
    output.started()
    forget = host.on_cancel(process.kill)
    try:
        reply = process.wait()
    except SandboxError as error:
        raise _lost(host, node, error) from error
    finally:
        forget()
        output.finish()
    if host.cancelled and reply.get("status") != 0:
        raise Cancelled
    if "failed" in reply:
        raise not_started(node, *reply["failed"])
    limited = Limited(host, node)
    limited.tell(reply)
    if reply["status"]:
        raise limited.failed(reply, output.tail()) or _failed(node, reply, output.tail())
    made: dict[str, Any] = reply["made"]
    return made


def _lost(host: Host, node: Exec, error: SandboxError) -> Exception:
    """What watched the step is gone, and with it what became of the step."""
    if host.cancelled:
        return Cancelled()
    if "died" not in str(error):
        return error
    hint = "for want of memory, or by the step: where img has no namespaces it can signal what watches it (img doctor)"
    title = title_of(node)
    return BackendError(f"{title}: the process of img that watched it was killed", place=node.notes.place, hint=hint)


def _failed(node: Exec, reply: Mapping[str, Any], tail: tuple[str, ...]) -> StepFailed:
    title, status = title_of(node), reply["status"]
    hint = _killed() if status == 137 else ""
    if reply.get("without_proc") and any(name in line for line in tail for name in _BY_PROC):
        hint = (
            "there is no /proc on this rung, and so no /dev/stdout, /dev/stderr and /dev/fd: write to the descriptor itself "
            "(>&1, >&2), or give the container what img doctor names"
        )
    return StepFailed(
        f"{title} failed with {ended(status)}", status=status, tail=tail, place=node.notes.place, hint=hint
    )


def _killed() -> str:
    """What is known of a kill that no limit of img's explains."""
    from img.sandbox.cgroups import starved

    room = starved()
    if not room:
        return "killed, perhaps for want of memory"
    return (
        f"killed, as it seems for want of memory: the kernel has killed processes in the cgroup that img is in, which may have "
        f"{room >> 20} MiB; give that more (docker run --memory, resources: {{limits: {{memory: …}}}} of a pod)"
    )


def not_started(node: Exec, stage: str, number: int, text: str, name: str) -> StepFailed | BackendError:
    """Why the process never ran, in words for the one who wrote the build file, or who runs the machine."""
    command = node.argv[0]
    place = node.notes.place
    if stage == "exec" and number == errno.ENOENT:
        hint = "is it installed in this stage? a script's interpreter (#!) must be there too"
        return StepFailed(f"{command}: not found in the image", status=127, place=place, hint=hint)
    if stage == "exec" and number == errno.ENOEXEC and (platform := foreign(node)) is not None:
        return cannot(node, platform)
    if stage == "exec" and number == errno.ENOEXEC:
        hint = "the image is for another architecture, or the file is a script without #!"
        return StepFailed(f"{command}: can't be executed", status=126, place=place, hint=hint)
    if stage == "exec" and number == errno.E2BIG:
        return too_long(node)
    if stage == "exec":
        return StepFailed(f"{command}: {text}", status=126, place=place, hint="is it executable for this user?")
    if stage == "cwd":
        hint = "make it with WORKDIR or RUN mkdir, and let the user into it"
        return StepFailed(f"the working folder {node.cwd} can't be entered: {text}", place=place, hint=hint)
    about = f"{name}: {text}" if name else text
    if stage == "recorder":
        hint = "what the step did cannot be known from there on, so it was killed"
        return BackendError(f"the recorder of owners failed: {about}", place=place, hint=hint)
    hint = "img doctor says what this machine allows"
    return BackendError(f"the step's {stage} can't be set up: {about}", place=place, hint=hint)
