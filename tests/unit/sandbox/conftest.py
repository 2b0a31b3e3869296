"""A sandbox for each test."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sandbox.stage import Stage

from img.sandbox.client import Sandbox


@pytest.fixture
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    sandbox = Sandbox.start(paths=sys.path)
    yield Stage(folder, sandbox)
    sandbox.close()
    shutil.rmtree(folder)
