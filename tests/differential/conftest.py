"""What the differential tests share: one BuildKit, one store of img, the bases, a web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential import web
from tests.differential.bases import push_bases
from tests.peers import bases, servers


@pytest.fixture(scope="session")
def buildkit(ground: Path) -> Iterator[servers.BuildKit]:
    with servers.buildkit(bases.buildkit_root(), ground) as running:
        yield running


@pytest.fixture(scope="session")
def store(ground: Path) -> Path:
    return ground / "differential-store"


@pytest.fixture(scope="session")
def names(registry: servers.Registry, ground: Path) -> Iterator[dict[str, str]]:
    """What ``@name@`` stands for in a case: the bases, and the web server's address."""
    with web.serving(ground / "www") as address:
        yield {
            **push_bases(registry.host, ground / "bases"),
            "registry": registry.host,
            "web": address,
            "long": "x" * 65000,
        }
