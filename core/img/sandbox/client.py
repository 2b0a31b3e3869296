"""The engine's end of the helper process."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from img.sandbox import idmap, wire
from img.sandbox.sealed import libraries, sealed_copy

_START = "import sys; sys.path.insert(0, {root!r}); from img.sandbox.server import main; main(3, {paths!r}, {found!r})"


class SandboxError(Exception):
    """The helper could not start, died, or a job in it failed for a reason that is not one of img's own errors."""


class Job:
    """A running step. `wait` must be called once."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._killed = False

    def kill(self) -> None:
        """Kill the step and everything it started. Safe from any thread, also when it is over."""
        with self._lock:
            if not self._killed:
                self._killed = True
                try:
                    self._socket.send(b"k")
                except OSError:
                    pass

    def wait(self) -> dict[str, Any]:
        """What became of it: ``status`` (exit code, 128 + N after signal N), or ``failed`` (stage, errno, text, name)
        if it never started; ``made`` is what the step's ``after`` returned; ``broke`` and ``watched`` are those of
        `img.sandbox.limits.Kept.verdict`. Raises `SandboxError` if the helper died,
        and what ``before`` and ``after`` raise."""
        received = wire.receive(self._socket)
        with self._lock:
            self._killed = True
            self._socket.close()
        if received is None:
            raise SandboxError("the sandbox process died")
        reply: dict[str, Any] = received[0]
        if "error" in reply:
            raise _raised(*reply["error"])
        return reply


class Sandbox:
    """See `img.ports.Sandbox`. All methods may be called from any thread."""

    def __init__(self, pid: int, control: socket.socket, found: dict[str, str]) -> None:
        self._pid = pid
        self._control = control
        self._lock = threading.Lock()
        self.rung = found["rung"]
        self.reason = found.get("reason", "")
        self.remedy = found.get("remedy", "")

    @classmethod
    def start(cls, *, paths: Sequence[str]) -> Sandbox:
        """Spawn the helper; `paths` are added to its sys.path, for the functions it is to call.

        The process is spawned, never forked: the program that img runs in may have any threads. Nothing of that program goes
        along: neither descriptors (the helper closes them), nor blocked and ignored signals, nor its environment.
        """
        pid, control = _spawn(paths)
        found = _greeting(control)
        if "map" in found:
            wire.send(control, idmap.write(int(found["map"])))
            found = _greeting(control)
            if found["rung"] == "none":  # it sits in a namespace without ids, where no file can be made
                control.close()
                _reap(pid)
                pid, control = _spawn(paths, found)
                found = _greeting(control)
        return cls(pid, control, found)

    def call(self, function: str, *args: Any, fds: Sequence[int] = ()) -> Any:
        """Run ``"package.module:function"`` in a child of the helper. See `img.ports.Sandbox.call`."""
        sock = self._send({"function": function, "args": args}, fds)
        try:
            received = wire.receive(sock)
        finally:
            sock.close()
        if received is None:
            raise SandboxError(f"the sandbox process died in {function}")
        reply = received[0]
        if "error" in reply:
            raise _raised(*reply["error"])
        return reply["result"]

    def run(
        self, step: dict[str, Any], stdout: int, stderr: int, memory: int | None = None, more: Sequence[int] = ()
    ) -> Job:
        """Start a step. `memory` is a memory file with the bytes of its secrets (`img.sandbox.secrets`); descriptors in
        `more` come last in the ``fds`` of its ``run``. Its fields:

        lower, upper, work   trees bottom up, the folder for changes, an empty folder of its own
        argv, env, cwd       env as a list of [name, value]
        uid, gid, groups     numbers, as the image sees them
        mounts               list of {kind, target, stub, file, readonly}; stub is where the target leads in the image
                             kind bind: source; view: lower, path, work; tmpfs: size, mode; secret: at, size, mode,
                             uid, gid; device: source, or major, minor, type, with mode, uid, gid
        env_secrets          list of [name, offset, size]
        network              host, none or sandbox; network_program is what attaches a sandbox (`img.sandbox.network`)
        resources            limits: `img.ir.values.Resources.document`
        cgroup               path below the cgroup filesystems, or empty
        hostname, shm_size, limits ([name, soft, hard]), insecure
        before, after        ``"package.module:function"`` called with the step around it, in the same child, where trees
                             can be worked on; `before` returns the step to run, `after` comes if it ended with 0
        run                  likewise, called with (step, fds, job): what runs it; `img.sandbox.step.supervise` if empty
        root                 for `img.sandbox.chrooted.supervise`: the folder that is the root
        """
        fds = (stdout, stderr) if memory is None else (stdout, stderr, memory)
        return Job(self._send({"step": step}, (*fds, *more)))

    def close(self) -> None:
        """End the helper and all it runs. May be called twice.

        The socket is shut down, not just closed: a program that has forked meanwhile has a copy of it in its children.
        """
        with self._lock:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            if self._pid:
                _reap(self._pid)
                self._pid = 0

    def _send(self, request: dict[str, Any], fds: Sequence[int]) -> socket.socket:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._lock:
                wire.send(self._control, request, [theirs.fileno(), *fds])
        except OSError as error:
            mine.close()
            raise SandboxError(f"the sandbox process is gone: {error}") from error
        finally:
            theirs.close()
        return mine


def _spawn(paths: Sequence[str], found: dict[str, str] | None = None) -> tuple[int, socket.socket]:
    """A helper, and our end of its control socket; with `found` it enters no namespaces, as that is known to fail."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = _START.format(root=root, paths=list(paths), found=found)
    copy = None
    try:
        python = interpreter()
        copy = sealed_copy(python)
        pid = os.posix_spawn(
            python if copy is None else f"/proc/self/fd/{copy}",
            [python, "-I", "-S", "-c", program],
            {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **(libraries() if copy is not None else {})},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
            setsigmask=[],
            setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
        )
    except BaseException:
        mine.close()
        raise
    finally:
        theirs.close()
        if copy is not None:
            os.close(copy)
    return pid, mine


def interpreter() -> str:
    """The Python that runs this, also where another program has it built in. Raises `SandboxError`."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    names = [f"{prefix}/bin/{version}" for prefix in (sys.exec_prefix, sys.base_exec_prefix)]
    for path in (sys.executable, getattr(sys, "_base_executable", None), *names):
        if path and "python" in os.path.basename(path) and os.access(path, os.X_OK):
            return str(path)
    raise SandboxError(f"there is no {version} to run: {sys.executable or 'sys.executable'} is another program")


def _reap(pid: int) -> None:
    """Wait for the helper's end. A program that ignores SIGCHLD, or waits for any child, has it already."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def _greeting(sock: socket.socket) -> dict[str, str]:
    received = wire.receive(sock)
    if received is None:
        raise SandboxError("the sandbox process did not start")
    found: dict[str, str] = received[0]
    return found


def _raised(module: str, name: str, message: str, hint: str) -> Exception:
    """The error a job raised, as itself if it is one of img's."""
    if module == "img.errors":
        error: Exception = getattr(importlib.import_module(module), name)(message, hint=hint)
        return error
    return SandboxError(f"{message}\n{hint}")
