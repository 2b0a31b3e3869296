"""What several files of real builds share: bases as nodes, a store that everybody may write, keys and an agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import agents, direct


@pytest.fixture
def store(work: Path) -> Path:
    folder = work / "store"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="session")
def box(busybox: str) -> direct.Source:
    return direct.base(busybox)


@pytest.fixture(scope="session")
def perl(debian: str) -> direct.Source:
    """A base with perl, which can make any system call."""
    return direct.base(debian)


@pytest.fixture
def keys(work: Path) -> Path:
    return agents.make_keys(work / "keys")


@pytest.fixture
def agent(keys: Path) -> Iterator[Path]:
    """A running ssh-agent with the first key, owned by whoever asks (see `agents.served`)."""
    with agents.running(keys / "one") as place:
        yield place


@pytest.fixture
def lent(agent: Path, user: bool) -> Iterator[str]:
    """The agent's socket as the one who builds may use it: `user` is the test's own parameter."""
    with agents.served(agent, user) as place:
        yield place
