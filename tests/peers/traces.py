"""What a build leaves behind, in a store and among the machine's processes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

SECRET = "hush-4242-hush"
"""Looked for in every file that a build leaves behind."""


def traces(folder: Path, text: str = SECRET) -> list[str]:
    """Files below `folder` that hold the text."""
    found = subprocess.run(["grep", "-rlaF", text, str(folder)], capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.split()


def upper_names(store: Path) -> set[str]:
    """Every path that the steps on `store` left in layers made here."""
    found: set[str] = set()
    for tree in (store / "layers").glob("*/tree"):
        if not (tree / "bin").exists():
            found |= {str(path.relative_to(tree)) for path in tree.rglob("*")}
    return found


def wait_for(command: str) -> None:
    """Return when a process with exactly this command line runs: at most a minute."""
    deadline = time.monotonic() + 60
    while subprocess.run(["pgrep", "-x", "-f", command], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.05)
