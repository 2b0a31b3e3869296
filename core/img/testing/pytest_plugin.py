"""Fixtures for tests of plugins. Not loaded by itself, so that it costs other projects nothing: ask for it with
``pytest_plugins = ["img.testing.pytest_plugin"]`` in the conftest.py of the root, or ``pytest -p img.testing.pytest_plugin``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from img.session import Session
from img.testing.builders import context
from img.testing.host import FakeHost
from img.testing.registry import MemoryRegistry, serving


@pytest.fixture
def img_session(tmp_path: Path) -> Iterator[Session]:
    """A session with every installed plugin, over a new store."""
    with Session(tmp_path / "img-store") as opened:
        yield opened


@pytest.fixture
def img_host(tmp_path: Path) -> Iterator[FakeHost]:
    """A host without an engine (`img.testing.host.FakeHost`)."""
    host = FakeHost(tmp_path / "img-host")
    yield host
    host.close()


@pytest.fixture
def img_context(tmp_path: Path) -> Path:
    """A folder with some files (`img.testing.builders.FILES`)."""
    return context(tmp_path / "img-context")


@pytest.fixture
def img_registry() -> Iterator[MemoryRegistry]:
    """A registry in memory on a port of its own; `host` is its name."""
    with serving(MemoryRegistry()) as running:
        yield running
