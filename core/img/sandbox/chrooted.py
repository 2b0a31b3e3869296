"""One step without namespaces: chroot(2), and a supervisor that all of the step's processes fall to.

For uid 0 in a container that may neither unshare nor mount. The supervisor is a child subreaper (prctl(2)): whatever
loses its parent becomes its child, so that it can find and kill all of them, whatever sessions they made. It watches
the engine's end of the job and the helper itself. What a step can do is what the container can, but chroot(2), which
it does not get: with it, it could leave its root, and trace the builder.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from typing import Any

from img.sandbox import cgroups, groups, libc, limits, process
from img.sandbox.processes import descendants
from img.sandbox.step import Reply, read_all, wait_for

CAPABILITIES = tuple(number for number in process.DEFAULT_CAPABILITIES if number != 18)
"""Docker's without sys_chroot."""

NEEDED = {
    0: "CHOWN",
    1: "DAC_OVERRIDE",
    3: "FOWNER",
    5: "KILL",
    6: "SETGID",
    7: "SETUID",
    8: "SETPCAP",
    18: "SYS_CHROOT",
}
"""What the rung takes, by number."""


def missing() -> list[str]:
    """Names of the capabilities that this process lacks for the rung."""
    return [name for number, name in NEEDED.items() if not _has(number)]


def _has(capability: int) -> bool:
    """Whether this process has it in effect."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        words = next((line.split() for line in lines if line.startswith("CapEff:")), ["", "0"])
    return bool(int(words[1], 16) >> capability & 1)


def supervise(step: dict[str, Any], fds: list[int], job: socket.socket) -> Reply:
    """Run the process of `step` in its folder ``root``; see `img.sandbox.step.supervise`. When this returns, nothing that
    the step started is left."""
    kept = limits.begin(step)
    kept.below = os.getpid()
    libc.prctl(libc.PR_SET_PDEATHSIG, 0)
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
    helper = os.pidfd_open(os.getppid())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _become(step, fds, writer, job, kept)
    os.close(writer)
    for fd in fds:
        os.close(fd)
    try:
        status = wait_for(child, job, helper, kept=kept)
    finally:
        end_all()
        os.close(helper)
    trouble = read_all(reader)
    if trouble:
        kept.end()
        stage, number, text, name = trouble.decode("utf-8", "replace").split("\0")[:4]
        return {"failed": [stage, int(number), text, name]}
    code = os.waitstatus_to_exitcode(status)
    code = code if code >= 0 else 128 - code
    return {"status": code, **kept.verdict(code)}


def _become(step: dict[str, Any], fds: list[int], failure: int, job: socket.socket, kept: limits.Kept) -> None:
    stage = "cgroup"
    try:
        job.close()
        # A filter takes CAP_SYS_ADMIN, or no_new_privs, which breaks setuid programs; a container has one of its own.
        step = {**step, "capabilities": CAPABILITIES, "filter": _has(21)}
        if step.get("cgroup") and not (kept.group and kept.group.unified):
            cgroups.enter(step["cgroup"])
        groups.join(kept.entrances())
        stage = "root"
        os.chroot(step["root"])
        os.chdir("/")
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
    except OSError as error:
        text = f"{stage}\0{error.errno or 0}\0{error.strerror}\0{error.filename or ''}"
        os.write(failure, text.encode("utf-8", "replace"))
        os._exit(125)
    except BaseException as error:
        os.write(failure, f"{stage}\0000\0{type(error).__name__}: {error}\0".encode("utf-8", "replace"))
        os._exit(125)
    process.run(step, fds, failure)


def end_all() -> None:
    """Kill every descendant of this process, which is their subreaper, and wait until none is left."""
    while True:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)
