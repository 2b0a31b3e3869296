"""Limits and networks of steps: each is run into, by real processes, as root (cgroups) and as an ordinary user (watchdog), with
every backend."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import builders
from tests.peers.neighbours import ABSTRACT, INNER, OUTER, Neighbours, neighbours

pytestmark = pytest.mark.real

WAYS = {
    "root": ({}, (), False),
    "user": ({}, (), True),
    "runc": ({"IMG_RUNTIME": "runc"}, ("-b", "runc"), False),
    "crun": ({"IMG_RUNTIME": "crun"}, ("-b", "runc"), False),
    "rootless runc": ({"IMG_RUNTIME": "runc"}, ("-b", "runc"), True),
}
HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
FORKS = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 3 & done; wait"


@pytest.fixture(scope="module")
def stores(ground: Path, busybox: str) -> Iterator[Path]:
    folder = ground / "limits"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder


def _build(stores: Path, base: str, way: str, run: str, *options: str, **more: Any) -> Any:
    """Build one RUN over busybox, in the store of root or of the user."""
    env, backend, user = WAYS[way]
    context = stores / f"c-{abs(hash((way, run, options)))}"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(f"FROM {base}\n" + "".join(f"RUN {line}\n" for line in run.splitlines()))
    root = stores / ("user" if user else "root")
    root.mkdir(exist_ok=True)
    root.chmod(0o777)
    arguments = ("build", *backend, "--progress", "plain", *options, str(context))
    return builders.img(*arguments, root=root, env={**env, **more.get("env", {})}, user=user, timeout=60)


@pytest.mark.parametrize("way", WAYS)
def test_memory(stores: Path, busybox: str, way: str) -> None:
    done = _build(stores, busybox, way, HOG, "--memory", "48m")
    assert done.returncode == 1
    assert f"RUN {HOG} ran out of memory: its limit is 48 MiB, it had " in done.stderr
    assert "give it more: --memory" in done.stderr
    assert ("kept by a watchdog" in done.stderr) == WAYS[way][2]


@pytest.mark.parametrize("way", ["root", "user", "runc"])
def test_processes(stores: Path, busybox: str, way: str) -> None:
    done = _build(stores, busybox, way, FORKS, "--pids-limit", "12")
    assert done.returncode == 1
    assert "its limit" in done.stderr and "12" in done.stderr and "give it more: --pids-limit" in done.stderr


@pytest.mark.parametrize("way", ["root", "rootless runc"])
def test_time(stores: Path, busybox: str, way: str) -> None:
    done = _build(stores, busybox, way, "(setsid sleep 7878 &); sleep 7878", "--step-timeout", "700ms")
    assert done.returncode == 1
    assert "was stopped after 0.7 s: that is its limit" in done.stderr
    left = subprocess.run(["pgrep", "-fx", "sleep 7878"], capture_output=True, check=False)
    assert left.returncode == 1, left.stdout


@pytest.mark.parametrize("way", ["root", "runc"])
def test_everything_fits(stores: Path, busybox: str, way: str) -> None:
    options = "--memory 64m --memory-swap 64m --cpus 0.25 --cpu-shares 512 --cpuset-cpus 0 --pids-limit 32 --timeout 1m"
    done = _build(
        stores, busybox, way, f": {way}; grep Cpus_allowed_l /proc/self/status", *options.split(), "--step-timeout=30s"
    )
    assert done.returncode == 0, done.stderr
    assert "Cpus_allowed_list:\t0" in done.stderr
    left = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", "img-step-*", "-mmin", "-1"], capture_output=True, check=False
    )
    assert not left.stdout


def test_processor_time(stores: Path, busybox: str) -> None:
    spin = "timeout 1 sh -c 'while :; do :; done'; cut -d' ' -f16,17 /proc/self/stat"
    done = _build(stores, busybox, "root", spin, "--cpus", "0.2")
    ticks = done.stderr.split("/proc/self/stat\n")[1].split("DONE")[0].split()
    assert sum(int(word) for word in ticks if word.isdigit()) < 50, done.stderr


def test_a_kill_that_the_step_survives_is_told(stores: Path, busybox: str) -> None:
    done = _build(stores, busybox, "root", f"{HOG} || true", "-m", "48m")
    assert done.returncode == 0
    assert "was killed for want of memory (its limit is 48 MiB" in done.stderr
    again = _build(stores, busybox, "root", f"{HOG} || true", "-m", "32m")
    assert "CACHED" in again.stderr, "a limit is no part of a step's key"


def test_a_limit_that_can_not_be_kept(stores: Path, busybox: str) -> None:
    done = _build(stores, busybox, "user", "touch /ran", "--cpus", "1")
    assert done.returncode == 1
    assert "the limit --cpus can't be kept here" in done.stderr and "Delegate=yes" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_whole_build(stores: Path, busybox: str) -> None:
    done = _build(stores, busybox, "root", "echo first\nsleep 7979", "--timeout", "3s")
    assert done.returncode == 124
    assert "the build took longer than 3 s, its limit; at that time ran: [stage-0 3/3] RUN sleep 7979" in done.stderr
    assert subprocess.run(["pgrep", "-fx", "sleep 7979"], check=False).returncode == 1
    done = _build(stores, busybox, "root", "echo first\ntrue", "--timeout", "1m")
    assert done.returncode == 0 and "CACHED" in done.stderr


# --- documents -----------------------------------------------------------------------------------------------------------

DOCUMENT = """\
from: {base}
steps:
  - run:
      command: test -e /tries/1 || {{ touch /tries/1 /left; exit 1; }}; test ! -e /left
      mounts: [cache: /tries]
    retry: 2
  - run: dd if=/dev/zero of=/dev/null bs=100M count=1
    resources: {{memory: 32m, pids: 9}}
    timeout: 20s
"""


def test_a_document_says_it_by_step(stores: Path, busybox: str) -> None:
    context = stores / "document"
    context.mkdir()
    (context / "img.yaml").write_text(DOCUMENT.format(base=busybox))
    done = builders.img("build", "--progress", "json", "-m", "1g", str(context), root=stores / "root", timeout=60)
    assert done.returncode == 1
    retried = [event for event in builders.events(done) if event.get("event") == "StepRetried"]
    assert [(event["attempt"], event["attempts"]) for event in retried] == [(2, 3)]
    assert "failed with exit code 1" in retried[0]["message"]
    assert "ran out of memory: its limit is 32 MiB" in done.stderr


# --- network ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def around() -> Iterator[Neighbours]:
    with neighbours() as running:
        yield running


ASK = "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.3) | timeout 2 nc {} {}"


@pytest.mark.parametrize(
    ("way", "program"), [("root", "pasta"), ("user", "pasta"), ("rootless runc", "pasta"), ("user", "slirp4netns")]
)
def test_a_network_that_leads_outside_only(
    stores: Path, busybox: str, around: Neighbours, way: str, program: str
) -> None:
    n = around
    inside = [(host, port) for host in ("127.0.0.1", "10.0.2.2", "10.0.2.3") for port in (n.port, n.inner)]
    probes = " ".join(f"({ASK.format(host, port)}) &" for host, port in inside)
    seen = "cat /proc/net/unix; ls /sys/class/net; grep nameserver /etc/resolv.conf"
    run = f": {program} {way}; {ASK.format(n.address, n.port)}; {probes} wait; {seen}"
    path = stores / program
    path.mkdir(exist_ok=True)
    for name in (program, "newuidmap", "newgidmap", "setpriv"):
        if not (path / name).exists():
            (path / name).symlink_to(f"/usr/bin/{name}")
    env = {"PATH": f"{path}:/usr/sbin" if WAYS[way][1] else str(path)}
    done = _build(stores, busybox, way, run, "--network", "sandbox", env=env)
    assert done.returncode == 0, done.stderr
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("#2 [") and "RUN" not in line)
    assert said.count(OUTER) == 1, said
    assert INNER not in said and ABSTRACT not in said
    assert "eth0" in said and "nameserver 10.0.2.3" in said
    assert subprocess.run(["pgrep", "-x", program], check=False, capture_output=True).returncode == 1


def test_no_program_no_network(stores: Path, busybox: str) -> None:
    done = _build(stores, busybox, "root", "touch /ran", "--network", "sandbox", env={"PATH": "/nowhere-at-all"})
    assert done.returncode == 1
    assert "takes pasta or slirp4netns, and neither is installed" in done.stderr and "passt" in done.stderr
