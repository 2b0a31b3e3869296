"""What the differential tests share: a BuildKit, the bases, web servers, and the bench where cases are built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential import web
from tests.differential.bases import push_bases
from tests.differential.bench import Bench
from tests.differential.cases import Case
from tests.peers import bases, servers


@pytest.fixture(scope="session")
def buildkit(ground: Path) -> Iterator[servers.BuildKit]:
    with servers.buildkit(bases.buildkit_root(), ground) as running:
        yield running


@pytest.fixture(scope="session")
def names(registry: servers.Registry, ground: Path) -> Iterator[dict[str, str]]:
    """What ``@name@`` stands for in a case."""
    with web.serving(ground / "www") as addresses:
        found = push_bases(registry.host, ground / "bases")
        yield {**found, **addresses, "registry": registry.host, "long": "x" * 65000}


@pytest.fixture(scope="session")
def benches(
    request: pytest.FixtureRequest, buildkit: servers.BuildKit, names: dict[str, str], ground: Path
) -> Iterator[Bench]:
    """Builds the cases that were asked for, in the order of the tests."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    cases = [values["case"] for values in params if isinstance(values.get("case"), Case)]
    bench = Bench(buildkit, ground / "differential", names, cases)
    yield bench
    bench.close()
