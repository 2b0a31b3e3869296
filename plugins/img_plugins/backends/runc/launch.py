"""Running a step with an OCI runtime, in its child of the sandbox.

The runtime itself gets a process namespace, with an init that only reaps. Whoever kills that init kills the runtime and the
container at once, whatever the runtime is and however it would rather be asked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from img.sandbox import groups, libc, limits, network, root, secrets
from img.sandbox.step import Reply, loopback, read_all, wait_for
from img_plugins.worker.below import below, sweep_cgroups
from img_plugins.worker.bundle import cgroup, config
from img_plugins.worker.complaints import classified
from img_plugins.worker.nodes import Fence
from img_plugins.worker.ready import make_ready
from img_plugins.worker.seccomp import profile


def run(step: dict[str, Any], fds: list[int], job: socket.socket) -> Reply:
    """See `img.sandbox.step.supervise`. ``runtime`` is the program; ``unmanaged``, whether it can do without cgroups."""
    step = {**step, "id": f"img-{os.urandom(8).hex()}"}
    managed = not (_unmanaged(step) or step["userns"])
    kept = limits.begin(step, top=managed)
    step = below(step, kept) if managed else step
    attached = fence = None
    try:
        if not (managed or step["userns"] or step["insecure"]):
            fence = Fence(step)
            step["fence"] = fence.entrance
        attached = network.attach(step)
        return _run(step, fds, job, kept, attached)
    finally:
        if fence is not None:
            fence.remove()
        if attached is not None:
            attached.end()
        sweep_cgroups(cgroup(step))
        kept.end()
        if managed and kept.group is not None:  # runtimes make its namesakes in the trees that it is not in
            sweep_cgroups(step["cgroup"])


def _run(
    step: dict[str, Any],
    fds: list[int],
    job: socket.socket,
    kept: limits.Kept,
    attached: network.Attached | None,
) -> Reply:
    reader, writer = os.pipe()
    libc.prctl(libc.PR_SET_PDEATHSIG, 0)  # if the helper dies, cgroups are still to be removed
    helper = os.pidfd_open(os.getppid())
    libc.unshare(libc.CLONE_NEWPID)
    init = os.fork()
    if init == 0:
        os.close(reader)
        _init(step, fds, writer, job, kept, attached)
    os.close(writer)
    for fd in fds:
        os.close(fd)
    kept.below = init
    if attached is not None:
        try:
            attached.serve(init)
        except BaseException:
            os.kill(init, signal.SIGKILL)
            os.waitpid(init, 0)
            raise
    status = os.waitstatus_to_exitcode(wait_for(init, job, helper, kept=kept))
    os.close(helper)
    told = read_all(reader).decode("utf-8", "replace")
    sweep_cgroups(cgroup(step))
    status = status if status >= 0 else 128 - status
    verdict = kept.verdict(status)
    if told and not verdict.get("broke"):
        return {"failed": classified(told, os.path.basename(step["runtime"]))}
    return {"status": status, **verdict}


def _init(
    step: dict[str, Any],
    fds: list[int],
    failure: int,
    job: socket.socket,
    kept: limits.Kept,
    attached: network.Attached | None,
) -> None:
    """Process 1 of the runtime's namespace: the bundle, the runtime, and its errors."""
    try:
        job.close()
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.unshare(libc.CLONE_NEWNS)
        entrances = [] if step.get("below") else kept.entrances()
        entrances += [step["fence"]] if "fence" in step else []
        if attached is not None:
            libc.unshare(libc.CLONE_NEWNET)
            attached.wait()
            loopback()
        libc.mount("proc", "/proc", "proc", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
        if _unmanaged(step):  # it looks there all the same, and refuses trees that v1 and v2 share
            libc.mount("tmpfs", "/sys/fs/cgroup", "tmpfs", libc.MS_RDONLY, "size=0k")
        memory = fds[2] if len(fds) > 2 else None
        environment = secrets.environment(step, memory)
        root.lay_out(step, memory)
        bundle = _bundle(step, environment)
        status = _runtime(step, bundle, fds, entrances)
        with suppress(FileNotFoundError), open(f"{bundle}/log", encoding="utf-8", errors="replace") as log:
            os.write(failure, "\n".join(_errors(log.read())).encode())
        os._exit(status if status >= 0 else 128 - status)
    except OSError as error:
        os.write(failure, f"{error.strerror}: {error.filename or ''}".encode("utf-8", "replace"))
    except BaseException as error:
        os.write(failure, repr(error).encode("utf-8", "replace"))
    os._exit(125)


def _bundle(step: dict[str, Any], environment: dict[str, str]) -> str:
    """Write the bundle into memory: its environment may hold secrets."""
    place = f"{step['work']}/bundle"
    os.mkdir(place, 0o700)
    libc.mount("tmpfs", place, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC, "mode=700")
    make_ready(step)
    document = config(step, environment, f"{step['work']}/root", profile(os.uname().machine), step["userns"])
    with open(f"{place}/config.json", "x", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(document, file)
    return place


def _runtime(step: dict[str, Any], bundle: str, fds: list[int], entrances: list[int]) -> int:
    """Run the runtime, in the cgroup of `entrances`, and reap whatever falls to this process; returns how it ended."""
    argv = [step["runtime"], "--root", f"{bundle}/state", "--log", f"{bundle}/log", "--log-format", "json"]
    if _unmanaged(step):
        argv += ["--cgroup-manager", "disabled"]
    argv += ["run", "--bundle", bundle, step["id"]]
    child = os.fork()
    if child == 0:
        try:
            groups.join(entrances)
            null = os.open("/dev/null", os.O_RDWR)
            for number, fd in ((0, null), (1, os.dup(fds[0])), (2, os.dup(fds[1]))):
                os.dup2(fd, number)
            libc.close_from(3)
            os.execve(argv[0], argv, {"PATH": os.defpath, "XDG_RUNTIME_DIR": bundle})
        finally:
            os._exit(127)
    for fd in (*fds, *entrances):
        os.close(fd)
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


def _unmanaged(step: dict[str, Any]) -> bool:
    return bool(step["unmanaged"]) and not (step.get("cgroup") or step.get("below"))


def _errors(log: str) -> Iterator[str]:
    """What the runtime itself complained of."""
    for line in log.splitlines():
        with suppress(ValueError, AttributeError):
            entry = json.loads(line)
            if entry.get("level") in ("error", "fatal"):
                yield str(entry.get("msg", ""))


def does_without_cgroups(program: str) -> bool:
    """Whether the runtime has crun's option for it: crun refuses machines where cgroups v1 and v2 share the controllers."""
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return "--cgroup-manager" in done.stdout


def find(name: str) -> str | None:
    """The runtime's program, by name or path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")
