"""Real servers for the tests: started on loopback at a free port or a private socket, stopped by their pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(argv: list[str], log: Path, ready: Callable[[], bool], env: dict[str, str] | None = None) -> Iterator[int]:
    """A server for the time of the block. Fails loudly if it does not get ready within a minute."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class Registry:
    """A running docker-registry."""

    def __init__(self, port: int, log: Path) -> None:
        self.host = f"127.0.0.1:{port}"
        self._log = log

    def requests(self) -> list[str]:
        """Every request line so far, e.g. ``GET /v2/…``."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if " /v2/" in line]


@contextlib.contextmanager
def registry(folder: Path, port: int | None = None) -> Iterator[Registry]:
    """Debian's docker-registry with its data in `folder`."""
    number = port or free_port()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog:\n  accesslog:\n    disabled: false\n"
        f"storage:\n  filesystem:\n    rootdirectory: {folder}/data\n  delete:\n    enabled: true\n"
        f"http:\n  addr: 127.0.0.1:{number}\n"
    )
    log = folder / "registry.log"

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{number}/v2/", timeout=5):
                return True
        except OSError:
            return False

    with running(["docker-registry", "serve", str(config)], log, ready):
        yield Registry(number, log)


@contextlib.contextmanager
def dockerd(folder: Path) -> Iterator[str]:
    """Debian's dockerd with a socket and folders of its own; yields DOCKER_HOST. Its BuildKit is the yardstick."""
    sock = folder / "docker.sock"
    argv = [
        "/usr/sbin/dockerd",
        f"--host=unix://{sock}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        f"--config-file={_empty_config(folder)}",
    ]

    def ready() -> bool:
        argv = ["/usr/bin/docker", "-H", f"unix://{sock}", "version"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    with running(argv, folder / "dockerd.log", ready):
        yield f"unix://{sock}"


@contextlib.contextmanager
def containerd(folder: Path) -> Iterator[str]:
    """Debian's containerd with a socket and folders of its own; yields the socket."""
    sock, config = folder / "containerd.sock", folder / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{sock}"\n'
    )

    def ready() -> bool:
        return subprocess.run(["ctr", "-a", str(sock), "version"], capture_output=True, check=False).returncode == 0

    with running(["containerd", "-c", str(config)], folder / "containerd.log", ready):
        yield str(sock)


def _empty_config(folder: Path) -> Path:
    path = folder / "daemon.json"
    path.write_text("{}")
    return path
