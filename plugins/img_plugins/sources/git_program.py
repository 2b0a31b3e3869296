"""The git program, alone: no configuration of the machine's or the user's, no prompts, no hooks, only known transports.

Where a repository is, and what it wants for a login, reaches git through its environment (GIT_CONFIG_COUNT, git(1)):
never on a command line, never in a file. Proxies and the search path are settings of the engine.
"""

from __future__ import annotations

import base64
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from img.errors import Cancelled, SourceError, UsageError
from img.ports import Host
from img_plugins.sources.download import shown

IDLE = 120.0
"""Seconds of silence after which a transfer counts as dead. git reports progress every second while it gets bytes."""
OUTPUT = 64 << 20
"""Bytes of output that are kept at most."""
SSH = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=15 -o IdentityFile=none"
INSTALL = "install it (Debian and Ubuntu: apt-get install git; Fedora: dnf install git; Alpine: apk add git)"

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.logAllRefUpdates": "false",
    "core.autocrlf": "false",
    "core.symlinks": "true",
    "core.fileMode": "true",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "transfer.fsckObjects": "false",
    "credential.helper": "",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "http.followRedirects": "initial",
}
_REMOTE = "http:https:ssh:git"


class GitFailed(Exception):
    """git ended with an error; the message is its own last word, without logins."""


class Remote(NamedTuple):
    """A repository elsewhere. `home` is the host that general secrets (not named for a host) may be shown to."""

    url: str
    home: str

    @property
    def words(self) -> str:
        """The address without a login in it."""
        return shown(self.url) if "://" in self.url else self.url

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.url.startswith(("/", "file:///"))

    @classmethod
    def of(cls, url: str, home: str | None = None) -> Remote:
        """Raises `UsageError` for an address that git would take for something else."""
        host = urlsplit(url).netloc.rpartition("@")[2] if "://" in url else ""
        scheme = urlsplit(url).scheme if "://" in url else ""
        scp = re.match(r"[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:]", url) is not None and not scheme
        known = scheme in ("http", "https", "ssh", "git", "file") or url.startswith("/") or scp
        if not known or "::" in url.partition("/")[0] or host.startswith("-") or any(c < " " for c in url):
            raise UsageError(f"{url!r} is not the address of a git repository", hint="https, ssh or git")
        return cls(url, host if home is None else home)


class Git:
    """Runs git for one session. Safe from several threads."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._secrets: set[str] = set()

    def run(
        self,
        *arguments: str,
        folder: Path,
        remote: Remote | None = None,
        env: Mapping[str, str] | None = None,
        local: bool = False,
    ) -> bytes:
        """Standard output of ``git ARGUMENTS`` with ``GIT_DIR`` at `folder`. The remote is called ``origin``.

        `local` allows the file transport. Raises `GitFailed`, `SourceError` if there is no git, `Cancelled`.
        """
        path = self._host.settings.get("path") or f"/usr/local/bin:{os.defpath}"
        program = shutil.which("git", path=path)
        if program is None:
            raise SourceError("git is not installed, and a source of this build needs it", hint=INSTALL)
        environment = {**self._environment(path, folder, remote, local), **(env or {})}
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=folder,
            umask=0o022,
            start_new_session=True,
        )
        stop = self._host.on_cancel(lambda: _kill(process))
        try:
            out, said, status = _finish(process)
        finally:
            stop()
        if self._host.cancelled:
            raise Cancelled
        if status:
            raise GitFailed(self._clean(said))
        return out

    def _environment(self, path: str, folder: Path, remote: Remote | None, local: bool) -> dict[str, str]:
        config = dict(_CONFIG)
        if remote is not None:
            config["remote.origin.url"] = remote.url
            config |= self._login(remote)
        environment = {
            "PATH": path,
            "HOME": os.fspath(folder),
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": os.fspath(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": f"{_REMOTE}:file" if local or (remote and remote.local) else _REMOTE,
            "GIT_SSH_COMMAND": SSH,
            "GIT_SSH_VARIANT": "ssh",
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for number, (name, value) in enumerate(config.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = name
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        for name in ("http_proxy", "https_proxy", "no_proxy"):
            if value := self._host.settings.get(name, ""):
                environment[name] = value
        if remote is not None and (agent := self._agent(remote)):
            environment["SSH_AUTH_SOCK"] = agent
        return environment

    # --- logins -------------------------------------------------------------------------------------------------

    def _agent(self, remote: Remote) -> str | None:
        over_ssh = remote.url.startswith("ssh://") or ("://" not in remote.url and not remote.local)
        return self._host.ssh("default") if over_ssh else None

    def _login(self, remote: Remote) -> dict[str, str]:
        """The header for an http(s) remote from the build's secrets, tied to that very host. Secrets named for a host
        come first; general ones only go to the host that the build itself named, not to those of its submodules."""
        parts = urlsplit(remote.url) if "://" in remote.url else None
        if parts is None or parts.scheme not in ("http", "https"):
            return {}
        host = parts.netloc.rpartition("@")[2]
        names = [f"GIT_AUTH_HEADER.{host}", f"GIT_AUTH_TOKEN.{host}"]
        if parts.port is not None:
            names += [f"GIT_AUTH_HEADER.{parts.hostname}", f"GIT_AUTH_TOKEN.{parts.hostname}"]
        if host == remote.home:
            names += ["GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"]
        for name in names:
            data = self._host.secret(name)
            if data is not None:
                text = data.decode("utf-8", "replace").strip()
                self._secrets.add(text)
                if name.startswith("GIT_AUTH_TOKEN"):
                    text = "basic " + base64.b64encode(f"x-access-token:{text}".encode()).decode()
                    self._secrets.add(text.removeprefix("basic "))
                return {f"http.{parts.scheme}://{host}/.extraHeader": f"Authorization: {text}"}
        return {}

    def _clean(self, said: bytes) -> str:
        """The line of git's words that says what is wrong."""
        lines = [line.strip() for line in re.split(r"[\r\n]+", said.decode("utf-8", "replace")) if line.strip()]
        marks = ("fatal: ", "error: ", "ERROR: ")
        found = [line for line in lines if line.startswith(marks)] or lines
        text = found[0] if found else "it gave no reason"
        if "Could not read from remote repository" in text and len(lines) > 1:
            text = lines[0]
        for mark in (*marks, "remote: "):
            text = text.removeprefix(mark)
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        return re.sub(r"://[^/@\s']*@", "://", text).rstrip(".")[:400]


def _finish(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes, int]:
    """Both outputs and the status. The process is gone afterwards, however that comes about."""
    try:
        out, said = _drain(process)
        return out, said, process.wait()
    except BaseException:
        _kill(process)
        process.wait()
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Both outputs to their ends. Raises `GitFailed` if nothing comes for too long, or far too much."""
    assert process.stdout is not None
    assert process.stderr is not None
    parts: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as waiting:
        for descriptor in parts:
            waiting.register(descriptor, selectors.EVENT_READ)
        last = time.monotonic()
        while waiting.get_map():
            for key, _ in waiting.select(1.0):
                data = os.read(key.fd, 1 << 16)
                last = time.monotonic()
                if not data:
                    waiting.unregister(key.fd)
                    continue
                parts[key.fd] += data
                if key.fd == process.stderr.fileno():
                    del parts[key.fd][: -(1 << 16)]
                elif len(parts[key.fd]) > OUTPUT:
                    raise GitFailed("the answer is too long")
            if time.monotonic() - last > IDLE:
                raise GitFailed(f"nothing came for {IDLE:.0f} seconds")
    out, said = parts.values()
    return bytes(out), bytes(said)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and the transports it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
