"""The conformance suite of backends, run as a third party runs it: over each backend as root, and over the other rungs of
chroot where they are the ones that work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from img.testing.backends import BackendConformance
from tests.peers import builders

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


class TestChroot(BackendConformance):
    backend = "chroot"


class TestRunc(BackendConformance):
    backend = "runc"
    settings: ClassVar[Mapping[str, str]] = {"runtime": "runc"}


class TestCrun(BackendConformance):
    backend = "runc"
    settings: ClassVar[Mapping[str, str]] = {"runtime": "crun"}


class TestContainerd(BackendConformance):
    """2.1; over Debian's 1.6 are `test_containerd` and `test_twelve`."""

    backend = "containerd"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def address(cls, newer_containerd: str) -> None:
        cls.settings = {"containerd_address": newer_containerd}


class TestBuildkit(BackendConformance):
    """Debian's dockerd's."""

    backend = "buildkit"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def address(cls, docker_host: str) -> None:
        cls.settings = {"buildkit_address": docker_host.replace("unix://", "docker://"), "network": "host"}


class TestNewerBuildkit(BackendConformance):
    backend = "buildkit"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def address(cls, newer: str) -> None:
        cls.settings = {"buildkit_address": newer.replace("unix://", "docker://"), "network": "host"}


THIRD_PARTY = """
from img.testing.backends import BackendConformance

class TestMine(BackendConformance):
    backend = "chroot"
"""


def _command(work: Path) -> list[str]:
    """The suite as a command, in a folder of a third party."""
    (work / "test_mine.py").write_text(THIRD_PARTY)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-W", "error"]
    return [*argv, f"--rootdir={work}", f"--basetemp={work}/base", f"{work}/test_mine.py"]


def _passed(done: subprocess.CompletedProcess[str]) -> None:
    last = done.stdout.strip().rpartition("\n")[2]
    assert done.returncode == 0 and " passed" in last and "skipped" not in last, done.stdout[-6000:] + done.stderr


@pytest.mark.parametrize(
    "who",
    [
        (f"--reuid={builders.USER}", f"--regid={builders.USER}", "--init-groups"),
        ("--reuid=54321", "--regid=54321", "--clear-groups", "--no-new-privs"),
    ],
    ids=["a range of ids", "one id"],
)
def test_in_a_user_namespace(who: tuple[str, ...], work: Path) -> None:
    argv = ["setpriv", *who, "--inh-caps=-all"]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(work)}
    _passed(subprocess.run([*argv, *_command(work)], capture_output=True, text=True, check=False, cwd=work, env=env))


def test_in_a_confined_container(docker_host: str, debian: str, work: Path) -> None:
    """As root with docker's default confinement: each step gets a copy."""
    command = _command(work)
    argv = [
        builders.DOCKER,
        "-H",
        docker_host,
        "run",
        "--rm",
        "--network",
        "host",
        "-w",
        str(work),
        "-v",
        f"{work}:{work}",
    ]
    for path in (builders.TOOL.parent.parent, Path("/usr"), Path("/bin/busybox")):
        argv += ["-v", f"{path}:{path}:ro"]
    _passed(subprocess.run([*argv, debian, *command], capture_output=True, text=True, check=False))
