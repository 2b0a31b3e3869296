"""A step's child of the sandbox: it lays the ground, says what the container is to be, passes its output on, and kills it
when the build is cancelled or gone. It speaks no gRPC: that is the engine's (`img_plugins.backends.containerd.task`).

It outlives an engine that is killed, long enough to remove the container.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from img.files.view import View
from img.sandbox import libc, limits, network, wire
from img.sandbox.step import Reply
from img_plugins.backends.containerd.places import Laid, lay
from img_plugins.worker.below import below, sweep_cgroups
from img_plugins.worker.bundle import cgroup, config
from img_plugins.worker.seccomp import profile

SHELL = ("/bin/sh", "-c", '. /dev/stdin && exec "$@" </dev/null', "sh")
"""How variables that are secrets reach a process: containerd keeps a container's environment on its disk."""

NO_SHELL = (
    "containerd would keep them on its disk unless /bin/sh sets them, and the image has none; mount files instead"
)

_SWEEP = "import sys; sys.path[:0] = {paths!r}; from img_plugins.backends.containerd.owner import main; main()"
LOOK = 1000.0
"""Milliseconds between two looks around when nothing happens."""
QUIET = 30.0
"""Seconds without output after a task's end, after which no more is expected."""


def run(step: dict[str, Any], fds: list[int], job: socket.socket) -> Reply:
    """See `img.sandbox.step.supervise`; the last of `fds` leads to the engine."""
    libc.prctl(libc.PR_SET_PDEATHSIG, 0)
    channel = socket.socket(fileno=fds.pop())
    memory = fds.pop() if len(fds) > 2 else None
    if step.get("env_secrets") and not _has_shell(step["lower"]):
        return {"failed": ["secret variables", 0, NO_SHELL, ""]}
    kept = limits.begin(step, top=True)
    step = below(step, kept)
    attached = None
    try:
        attached = network.attach(step)
        others = [channel.fileno(), job.fileno(), *fds]
        try:
            laid = lay(step, memory, attached, others)
        except OSError as error:
            return {"failed": ["root", error.errno or 0, error.strerror, error.filename or ""]}
        try:
            return _judged(_Watch(step, job, channel, fds, kept).run(_plan(laid, _script(step, memory))), kept)
        finally:
            laid.release()
    finally:
        if attached is not None:
            attached.end()
        sweep_cgroups(cgroup(step))
        if kept.group is not None:  # the runtime made it in every tree, not only where it keeps a limit
            sweep_cgroups(f"/{step['cgroup'].strip('/')}")
        kept.end()


def _judged(reply: Reply, kept: limits.Kept) -> Reply:
    """The reply with what became of the step's limits. One that killed it before it had begun is told rather than that."""
    status = reply.get("status", 128 + signal.SIGKILL)
    verdict = kept.verdict(status)
    return reply if "failed" in reply and "broke" not in verdict else {"status": status, **verdict}


def _has_shell(trees: list[str]) -> bool:
    view = View(trees)
    return view.lstat(view.resolve(SHELL[0])) is not None


def _plan(laid: Laid, script: int | None) -> dict[str, Any]:
    """What the container is to be."""
    step = laid.step
    if script is not None:
        step = {**step, "argv": [*SHELL, *step["argv"]]}
    spec = config(step, dict(step["env"]), "rootfs", profile(os.uname().machine), userns=False)
    if laid.network:
        spec["linux"]["namespaces"].append({"type": "network", "path": laid.network})
    return {"spec": spec, "rootfs": laid.rootfs, "stdin": "" if script is None else _path(script)}


def _path(fd: int) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"


def _script(step: dict[str, Any], memory: int | None) -> int | None:
    """A memory file with shell commands that set the step's secret variables; None if it has none."""
    if memory is None or not step.get("env_secrets"):
        return None
    script = os.memfd_create("environment", os.MFD_CLOEXEC)
    for name, at, size in step["env_secrets"]:
        value = os.pread(memory, size, at).replace(b"'", b"'\\''")
        os.write(script, b"export " + name.encode() + b"='" + value + b"'\n")
    os.lseek(script, 0, os.SEEK_SET)
    return script


def _parent(pid: int) -> int:
    """The parent of a process: of a container's first one, the shim, which has no other children; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


class _Watch:
    """One task, watched from its making to its end."""

    def __init__(
        self, step: dict[str, Any], job: socket.socket, channel: socket.socket, outputs: list[int], kept: limits.Kept
    ) -> None:
        self._step = step
        self._kept = kept
        self._job = job
        self._channel = channel
        pipes = [os.pipe() for _ in outputs]
        self._writers = [writer for _, writer in pipes]
        self._into = {reader: output for (reader, _), output in zip(pipes, outputs, strict=True)}
        self._helper = os.pidfd_open(os.getppid())
        self._task = -1
        self._doomed = False
        self._exited = False
        self._heard = 0.0

    def run(self, plan: dict[str, Any]) -> Reply:
        """Until the engine replies, or is gone."""
        stdout, stderr = map(_path, self._writers)
        streams = {"stdin": plan.pop("stdin"), "stdout": stdout, "stderr": stderr}
        try:
            wire.send(self._channel, {**plan, "streams": streams})
            return self._until_reply()
        except (BrokenPipeError, ConnectionResetError):
            return self._abandoned()

    def _until_reply(self) -> Reply:
        watched = select.poll()
        for fd in (self._job.fileno(), self._channel.fileno(), self._helper, *self._into):
            watched.register(fd, select.POLLIN | select.POLLHUP)
        while True:
            for fd, _ in watched.poll(min(LOOK, self._kept.pause() or LOOK)):
                if fd in self._into:
                    if not self._passed_on(fd):
                        watched.unregister(fd)
                        os.close(fd)
                elif fd == self._channel.fileno():
                    reply = self._listen()
                    if reply is not None:
                        return reply
                elif fd == self._helper or not self._job.recv(1):
                    return self._abandoned()
                else:
                    self._kill()
            if self._kept.over():
                self._kill()
            self._tell_drained()

    def _passed_on(self, reader: int) -> bool:
        """Pass on what came; whether there may be more."""
        data = os.read(reader, 65536)
        self._heard = time.monotonic()
        view = memoryview(data)
        with suppress(BrokenPipeError):
            while view:
                view = view[os.write(self._into[reader], view) :]
        if not data:
            os.close(self._into.pop(reader))
        return bool(data)

    def _listen(self) -> Reply | None:
        """A message of the engine's; the reply, if it is that."""
        received = wire.receive(self._channel)
        if received is None:
            return self._abandoned()
        message: dict[str, Any] = received[0]
        if "pid" in message:
            self._close_writers()  # containerd has opened them by their names
            with suppress(ProcessLookupError):
                self._task = os.pidfd_open(message["pid"])
            self._kept.below = _parent(message["pid"])
            if self._doomed:
                self._kill()
            wire.send(self._channel, {"watched": True})
        self._exited = self._exited or "exited" in message
        self._heard = time.monotonic()
        reply: Reply | None = message.get("reply")
        if reply is not None:
            self._kill()  # it is long dead, unless containerd was lost
        return reply

    def _tell_drained(self) -> None:
        over = self._exited and (not self._into or time.monotonic() - self._heard > QUIET)
        if over:
            self._exited = False
            wire.send(self._channel, {"drained": True})

    def _close_writers(self) -> None:
        while self._writers:
            os.close(self._writers.pop())

    def _kill(self) -> None:
        self._doomed = True
        if self._task >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._task, signal.SIGKILL)

    def _abandoned(self) -> Reply:
        """Nobody waits for the step any more: remove its container from here."""
        self._kill()
        self._close_writers()
        while self._into:
            os.close(self._into.popitem()[0])
        paths = [path for path in sys.path if path]
        argv = [sys.executable, "-I", "-S", "-c", _SWEEP.format(paths=paths), *self._step["container"]]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        return {"failed": ["engine", 0, "the build is gone", ""]}
