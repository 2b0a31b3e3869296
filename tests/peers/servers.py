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
            ["setpriv", "--pdeathsig", "TERM", *argv],  # a killed run leaves no servers
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

    try:
        with running(argv, folder / "dockerd.log", ready):
            yield f"unix://{sock}"
    finally:  # of containers on the host's network
        subprocess.run(["umount", "-q", f"{folder}/exec/netns/default"], capture_output=True, check=False)


class BuildKit:
    """A running newer dockerd in a Debian root of its own, with containerd's image store, and its clients."""

    def __init__(self, host: str, pid: int) -> None:
        self.host = host
        self._pid = pid

    def buildx(self, *words: str, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run ``docker buildx WORDS`` of the daemon's root, in its mount namespace: paths are the same there."""
        plugin = "/usr/libexec/docker/cli-plugins/docker-buildx"
        argv = ["nsenter", f"--target={self._pid}", "--mount", "--root", "--wd", plugin, *words]
        variables = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/run", "DOCKER_HOST": self.host, **env}
        variables["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=variables,
            timeout=timeout,
            check=False,
        )


ENTER = """
set -e
root=$1 ground=$2; shift 2
mount --rbind "$root" "$root"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/var/tmp"
mkdir -p "$root$ground"
mount --rbind "$ground" "$root$ground"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec "$@"
"""
"""Make a Debian root the root of this mount namespace. A chroot would not do: runc wants / to be a mount."""


@contextlib.contextmanager
def buildkit(root: Path, ground: Path) -> Iterator[BuildKit]:
    """The dockerd in the Debian root `root` (`bases.buildkit_root`), with its state in `ground`, which it sees."""
    state = ground / "buildkit"
    state.mkdir()
    config = state / "daemon.json"
    config.write_text('{"features": {"containerd-snapshotter": true}}')
    host = f"unix://{state}/docker.sock"
    argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", ENTER, "enter", str(root), str(ground)]
    argv += ["/usr/sbin/dockerd", f"--host={host}", f"--data-root={state}/data", f"--exec-root={state}/exec"]
    argv += [f"--pidfile={state}/pid", f"--config-file={config}"]
    argv += ["--iptables=false", "--ip6tables=false", "--bridge=none"]

    def ready() -> bool:
        return b"API listen on" in (state / "dockerd.log").read_bytes()

    with running(argv, state / "dockerd.log", ready) as pid:
        yield BuildKit(host, pid)


@contextlib.contextmanager
def containerd(folder: Path, programs: Path = Path("/usr/bin")) -> Iterator[str]:
    """Debian's containerd with a socket and folders of its own; yields the socket. `programs` is where it and its shim are."""
    sock, config = folder / "containerd.sock", folder / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{sock}"\n'
    )

    def ready() -> bool:
        return subprocess.run(["ctr", "-a", str(sock), "version"], capture_output=True, check=False).returncode == 0

    own = folder / "bin"
    own.mkdir(exist_ok=True)
    for name in ("containerd", "containerd-shim-runc-v2"):
        (own / name).unlink(missing_ok=True)
        (own / name).symlink_to(programs / name)
    env = {"PATH": f"{own}:/usr/sbin:/usr/bin:/sbin:/bin"}
    with running([f"{own}/containerd", "-c", str(config)], folder / "containerd.log", ready, env):
        yield str(sock)


def _empty_config(folder: Path) -> Path:
    path = folder / "daemon.json"
    path.write_text("{}")
    return path
