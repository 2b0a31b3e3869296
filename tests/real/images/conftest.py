"""A small context, a store that is not there yet, and one with two images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.builders import img, ok

FILES = (
    "FROM {base}\nARG TEXT=one\nRUN echo $TEXT > /text && mkdir /d && echo x > /d/x && ln -s x /d/link && chmod 4755 /d/x\n"
    'CMD ["cat", "/text"]\n'
)


@pytest.fixture
def context(work: Path, busybox: str) -> Path:
    folder = work / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(FILES.format(base=busybox))
    return folder


@pytest.fixture
def store(work: Path) -> Path:
    return work / "store"


@pytest.fixture
def two(context: Path, store: Path) -> Path:
    """A store with the images one:1 and two:1."""
    for name in ("one", "two"):
        ok(img("build", "-t", f"{name}:1", "--build-arg", f"TEXT={name}", str(context), root=store))
    return store
