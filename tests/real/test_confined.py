"""The rung of uid 0 in a container under dockerd's defaults: limits of steps, and steps that go for what runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.peers import jails

pytestmark = pytest.mark.real

HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
BUILDS = {
    "memory": (f"RUN {HOG}", "-m 48m"),
    "processes": ("RUN for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 3 & done; wait", "--pids-limit 9"),
    "step": ("RUN (setsid sleep 7373 &); sleep 7373", "--step-timeout 700ms"),
    "whole": ("RUN (setsid sleep 7373 &); sleep 7373", "--timeout 3s"),
    "processors": ("RUN touch /ran", "--cpus 1"),
    "supervisor": ("RUN (setsid sleep 7373 &); kill -9 $PPID; sleep 7373", ""),
    "itself": ("RUN kill -9 $$", ""),
    "streams": ("RUN echo never > /dev/stdout", ""),
}
WORDS = {
    "memory": (1, "ran out of memory: its limit is 48 MiB, it had ", "give it more: --memory"),
    "processes": (1, "was stopped: it has ", "and its limit is 9"),
    "step": (1, "was stopped after 0.7 s: that is its limit", "--step-timeout"),
    "whole": (
        124,
        "the build took longer than 3 s, its limit; at that time ran:",
        "RUN (setsid sleep 7373 &); sleep 7373",
    ),
    "processors": (1, "the limit --cpus can't be kept here", "docker run --memory --cpus --pids-limit"),
    "supervisor": (1, "the process of img that watched it was killed", "where img has no namespaces"),
    "itself": (1, "failed with exit code 137 (signal 9)", ""),
    "streams": (1, "there is no /proc on this rung, and so no /dev/stdout", ">&1"),
}


@pytest.fixture
def context(busybox: str, work: Path) -> Path:
    folder = work / "c"
    folder.mkdir()
    for name, (lines, _) in BUILDS.items():
        (folder / name).write_text(f"FROM {busybox}\n{lines}\n")
    return folder


def test_limits_and_kills(docker_host: str, debian: str, work: Path, context: Path) -> None:
    """Each is run into, and told as what it is; nothing of a step lives on."""
    script = "".join(
        f"img build --progress plain {flags} -f {context}/{name} {context} 2> {work}/{name}; echo {name} $?\n"
        for name, (_, flags) in BUILDS.items()
    )
    script += "grep -lzx 7373 /proc/[0-9]*/cmdline && echo left || true"
    done = jails.mounted(docker_host, debian, script, {work: "rw"}, work / "s")
    assert "left" not in done.stdout, done.stdout
    ended = dict(line.split() for line in done.stdout.splitlines())
    for name, (status, *words) in WORDS.items():
        said = (work / name).read_text()
        assert ended[name] == str(status), (name, said)
        assert all(word in said for word in words), said
        assert "Traceback" not in said and "internal error" not in said, said
        assert ("kept by a watchdog" in said) == (name in ("memory", "processes")), said


def test_the_container_s_own_memory(docker_host: str, debian: str, work: Path, context: Path) -> None:
    """A kill that no limit of img's explains is told as what it most likely is."""
    (context / "memory").write_text((context / "memory").read_text().replace(HOG, f"{HOG} || exit $?"))
    script = f"img build -f {context}/memory {context}"
    done = jails.mounted(docker_host, debian, script, {work: "rw"}, work / "s", ("--memory=90m", "--memory-swap=90m"))
    assert done.returncode == 1 and "exit code 137 (signal 9)" in done.stderr, done.stderr
    assert "want of memory" in done.stderr and "which may have 90 MiB" in done.stderr, done.stderr


def test_nothing_is_left_on_the_machine() -> None:
    """Containers and their processes are gone with the tests before this."""
    assert subprocess.run(["pgrep", "-fx", "sleep 7373"], check=False, capture_output=True).returncode == 1
