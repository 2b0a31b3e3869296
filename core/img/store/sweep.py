"""Removing folders of the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from img.ports import Sandbox


class Engine(Protocol):
    @property
    def sandbox(self) -> Sandbox: ...


def discard(path: Path, engine: Engine) -> None:
    """Remove a folder and all below it. What the sandbox made there may belong to its users: then it has to help."""
    try:
        if any(path.iterdir()):
            import shutil

            shutil.rmtree(path)
        else:
            path.rmdir()
    except OSError:
        engine.sandbox.call("img.oci.diff:remove_tree", os.fspath(path))
