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
from img.sandbox import libc, wire
from img.sandbox.step import Reply
from img_plugins.backends.containerd.places import Laid, lay
from img_plugins.worker.bundle import config
from img_plugins.worker.seccomp import profile

SHELL = ("/bin/sh", "-c", '. /dev/stdin && exec "$@" </dev/null', "sh")
"""How variables that are secrets reach a process: containerd keeps a container's environment on its disk."""

NO_SHELL = (
    "containerd would keep them on its disk unless /bin/sh sets them, and the image has none; mount files instead"
)

_SWEEP = "import sys; sys.path[:0] = {paths!r}; from img_plugins.backends.containerd.owner import main; main()"
QUIET = 30.0
"""Seconds without output after a task's end, after which no more is expected."""


def run(step: dict[str, Any], fds: list[int], job: socket.socket) -> Reply:
    """See `img.sandbox.step.supervise`; the last of `fds` leads to the engine."""
    libc.prctl(libc.PR_SET_PDEATHSIG, 0)
    channel = socket.socket(fileno=fds.pop())
    memory = fds.pop() if len(fds) > 2 else None
    if step.get("env_secrets") and not _has_shell(step["lower"]):
        return {"failed": ["secret variables", 0, NO_SHELL, ""]}
    others = [channel.fileno(), job.fileno(), *fds]
    script = _script(step, memory)
    try:
        laid = lay(step, memory, step["peer"], others)
    except OSError as error:
        return {"failed": ["root", error.errno or 0, error.strerror, error.filename or ""]}
    try:
        return _Watch(step, job, channel, fds).run(_plan(step, laid, script))
    finally:
        laid.release()


def _has_shell(trees: list[str]) -> bool:
    view = View(trees)
    return view.lstat(view.resolve(SHELL[0])) is not None


def _plan(step: dict[str, Any], laid: Laid, script: int | None) -> dict[str, Any]:
    """What the container is to be."""
    ready = {**step, "mounts": laid.mounts}
    if script is not None:
        ready["argv"] = [*SHELL, *step["argv"]]
    spec = config(ready, dict(step["env"]), "rootfs", profile(os.uname().machine), userns=False)
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


class _Watch:
    """One task, watched from its making to its end."""

    def __init__(self, step: dict[str, Any], job: socket.socket, channel: socket.socket, outputs: list[int]) -> None:
        self._step = step
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
            for fd, _ in watched.poll(1000):
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
