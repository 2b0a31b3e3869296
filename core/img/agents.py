"""The ssh agents of a build: a socket that the user has, or an agent of our own that holds some key files.

Our own is the system's ``ssh-agent``. It gets its keys on standard input and lives only as long as this process: it runs
as ``ssh-agent COMMAND``, whose command ends when our end of its pipe closes, however that comes about, and takes the
socket's folder along.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from img.errors import UsageError

KEY_LIMIT = 100 << 10
"""Bytes of the largest key file."""
SECONDS = 20
"""How long the agent's programs may take to answer."""
UNREACHED = 2
"""What ssh-add exits with if there is no agent to speak to (ssh-add(1))."""

_SOLVE = "install openssh-client, or give the socket of an agent that holds the keys"


class Agents:
    """The agents of one build by id. `close` ends those that were started here."""

    def __init__(self) -> None:
        self._started: dict[tuple[str, ...], _KeyAgent] = {}

    def socket(self, id: str, paths: Sequence[str]) -> str:
        """Path of the agent's socket: `paths` is one socket, or the files of one or more private keys.

        Raises `UsageError` for what is neither, and for keys that can't be used.
        """
        kinds = [_kind(id, path) for path in paths]
        if kinds == ["socket"]:
            return paths[0]
        if "socket" in kinds:
            raise UsageError(f"ssh {id!r} names a socket and other files", hint="one socket, or key files")
        name = tuple(paths)
        if name not in self._started:
            self._started[name] = _KeyAgent(id, paths)
        return self._started[name].socket

    def close(self) -> None:
        """End what was started. May be called twice."""
        while self._started:
            self._started.popitem()[1].close()


class _KeyAgent:
    def __init__(self, id: str, keys: Sequence[str]) -> None:
        agent, add = shutil.which("ssh-agent"), shutil.which("ssh-add")
        if agent is None or add is None:
            raise UsageError(f"ssh {id!r} names key files, but there is no ssh-agent to hold them", hint=_SOLVE)
        self._folder = tempfile.mkdtemp(prefix="img-ssh-")
        self.socket = f"{self._folder}/agent"
        self._process = subprocess.Popen(
            [agent, "-a", self.socket, "/bin/sh", "-c", 'cat; rm -rf "$0"', self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        try:
            self._wait(id)
            for key in keys:
                self._add(add, id, key)
        except BaseException:
            self.close()
            raise

    def _wait(self, id: str) -> None:
        """Until it answers: its socket is there before anything listens at it."""
        deadline = time.monotonic() + SECONDS
        while not _answers(self.socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UsageError(f"ssh {id!r}: the ssh-agent for its keys did not start", hint=_SOLVE)
            time.sleep(0.005)

    def _add(self, program: str, id: str, key: str) -> None:
        """Hand over one key by way of standard input, so that ssh-add has no opinion on the file's mode."""
        try:
            with open(key, "rb") as stream:
                data = stream.read(KEY_LIMIT + 1)
        except OSError as error:
            raise UsageError(f"ssh {id!r}: the key {key} can't be read: {error.strerror}") from error
        environment = {"SSH_AUTH_SOCK": self.socket, "SSH_ASKPASS_REQUIRE": "never", "HOME": self._folder}
        try:
            done = subprocess.run(
                [program, "-q", "-"],
                input=data if len(data) <= KEY_LIMIT else b"",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"ssh {id!r}: {program} did not answer within {SECONDS} s", hint=_SOLVE) from error
        if done.returncode == UNREACHED:
            raise UsageError(f"ssh {id!r}: {program} does not reach the agent that was started for it", hint=_SOLVE)
        if done.returncode:
            hint = "a key with a passphrase has to be in an agent: add it there, and give the agent's socket"
            raise UsageError(f"ssh {id!r}: {key} is not a private key that can be used as it is", hint=hint)

    def close(self) -> None:
        """The agent is a child of its command's process: it is asked to end, and its socket goes with it."""
        if self._process.stdin:
            self._process.stdin.close()
        for pid in _children(self._process.pid):
            _end(pid)
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _end(pid: int) -> None:
    """Ask a process to end, and see to it that it has."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], 2)[0]:
                return
    finally:
        os.close(handle)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kind(id: str, path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UsageError(f"ssh {id!r}: {path}: {error.strerror}", hint="name an agent's socket or key files") from error
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISREG(mode):
        return "key"
    raise UsageError(f"ssh {id!r}: {path} is neither a socket nor a file", hint="name an agent's socket or key files")
