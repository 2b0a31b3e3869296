"""Standard output that takes nothing: the words for it, and the exit code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.peers.builders import TOOL


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">/dev/full", 1, "error: No space left on device\nhint: make room, or write somewhere else\n"),
        (">&-", 0, ""),
        ("| true", 0, ""),
    ],
)
def test_nowhere_to_print(redirection: str, code: int, said: str, tmp_path: Path) -> None:
    line = f"{TOOL} plugins {redirection}"
    env = {**os.environ, "IMG_ROOT": str(tmp_path)}
    done = subprocess.run(line, shell=True, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (code, said)
