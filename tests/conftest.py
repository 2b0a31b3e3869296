"""Fixtures for tests with real peers. Servers start once a session, when the first test asks."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.peers import bases, servers

settings.register_profile("img", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("img")

LONGEST_FIRST = (
    "tests/real/test_twelve",
    "tests/real/test_podjail",
    "tests/differential/",
    "tests/real/test_build",
    "tests/real/test_con",
    "tests/real/",
    "tests/unit/testing/",
    "tests/",
)
"""Where files take minutes, where seconds. Workers take whole files, so short ones at the end keep all of them busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first. xdist itself would go by the number of a file's tests, and begin the longest ones last."""

    def rank(item: pytest.Item) -> int:
        return next((n for n, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start)), len(LONGEST_FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder on a real disk that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="img-tests-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture(scope="session")
def registry(ground: Path) -> Iterator[servers.Registry]:
    folder = ground / "registry"
    folder.mkdir()
    with servers.registry(folder) as running:
        yield running


@pytest.fixture(scope="session")
def docker_host(ground: Path) -> Iterator[str]:
    folder = ground / "docker"
    folder.mkdir()
    with servers.dockerd(folder) as host:
        yield host


@pytest.fixture(scope="session")
def newer(ground: Path) -> Iterator[str]:
    """DOCKER_HOST of a dockerd with BuildKit 0.25."""
    folder = ground / "newer"
    folder.mkdir()
    with servers.buildkit(bases.buildkit_root(), folder) as running:
        yield running.host


@pytest.fixture(scope="session")
def containerd(ground: Path) -> Iterator[str]:
    folder = ground / "containerd-backend"
    folder.mkdir()
    with servers.containerd(folder) as sock:
        yield sock


@pytest.fixture(scope="session")
def newer_containerd(ground: Path) -> Iterator[str]:
    """The socket of a containerd 2.1, with this machine's runc."""
    folder = ground / "newer-containerd"
    folder.mkdir()
    with servers.containerd(folder, bases.buildkit_root() / "usr" / "bin") as sock:
        yield sock


@pytest.fixture(scope="session")
def busybox(registry: servers.Registry, ground: Path) -> str:
    return bases.push_busybox(registry.host, ground / "busybox")


@pytest.fixture(scope="session")
def debian(registry: servers.Registry, ground: Path) -> str:
    return bases.push_debian(registry.host)


@pytest.fixture
def work(ground: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own, beside the servers' and open to the ordinary user."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir=ground))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
