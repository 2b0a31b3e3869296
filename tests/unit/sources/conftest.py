"""An engine with a store of its own, a session with one, and a web server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.peers.web import Web, serving

from img.engine import Engine
from img.plugin.registry import Registry
from img.session import Session


class Host(Engine):
    """An engine whose secrets and agents are what the test says, in `given_secrets` and `given_agents`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, {"path": "/usr/bin:/bin"}, Registry.discover())
        self.given_secrets: dict[str, bytes] = {}
        self.given_agents: dict[str, str] = {}
        self.secrets_asked: list[str] = []

    def secret(self, id: str) -> bytes | None:
        self.secrets_asked.append(id)
        return self.given_secrets.get(id)

    def ssh(self, id: str) -> str | None:
        return self.given_agents.get(id)


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[Callable[[], Host]]:
    """Makes engines on one store: each is a new run of img."""
    made: list[Host] = []

    def make() -> Host:
        made.append(Host(tmp_path / "store"))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def host(new_host: Callable[[], Host]) -> Host:
    return new_host()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store", {"path": "/usr/bin:/bin"}) as opened:
        yield opened
