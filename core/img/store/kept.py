"""Folders that stand for fixed things from outside (a commit, an unpacked archive), kept between builds.

``sources/trees/<key>`` is such a folder: whole or not there, never written to again. ``sources/git/<key>`` is a bare
repository, written to under a lock. Keys are digests of what a folder stands for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from img.store.blobs import disk_error
from img.store.locks import locked
from img.store.using import Using

if TYPE_CHECKING:
    from img.store.forms import Engine


class Kept:
    """See the module. Safe from several threads and processes."""

    def __init__(self, root: Path, tmp: Path, engine: Engine, use: Using) -> None:
        self._root = root
        self._use = use
        self._tmp = tmp
        self._engine = engine

    def tree(self, key: str, make: Callable[[Path], None]) -> Path:
        """The folder of `key`; if it is not there, `make` fills an empty one first. What `make` raises is raised, and
        nothing is left behind."""
        name = key.removeprefix("sha256:")
        path = self._root / "sources" / "trees" / name
        if self._use.there(f"sha256:{name}", path):
            return path
        with self._locked(f"tree-{name}"):
            if path.is_dir():
                return path
            part = self._tmp / f"kept-{os.urandom(6).hex()}"
            try:
                part.mkdir(mode=0o755)
                make(part)
                path.parent.mkdir(parents=True, exist_ok=True)
                _move(part, path)
            except OSError as error:
                raise disk_error(error, path) from error
            finally:
                remove(part)
        return path

    def repository(self, key: str) -> Path:
        """The folder of the bare repository `key`, which may not be there yet."""
        path = self._root / "sources" / "git" / key.removeprefix("sha256:")
        self._use.note(f"sha256:{path.name}", path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def repository_lock(self, key: str) -> AbstractContextManager[None]:
        """The lock to hold while using the repository `key`; waits for it."""
        return self._locked(f"git-{key.removeprefix('sha256:')}")

    def _locked(self, name: str) -> AbstractContextManager[None]:
        return locked(self._root / "locks" / name, lambda: self._engine.cancelled)


def _move(part: Path, path: Path) -> None:
    """Rename a folder. A read-only one has to be writable for that (its ``..`` changes), as an ordinary user."""
    mode, times = part.stat().st_mode & 0o7777, part.stat()
    part.chmod(mode | 0o700)
    os.rename(part, path)
    path.chmod(mode)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def remove(path: Path) -> None:
    """Take a folder away with all it holds, also folders that are read-only or closed to their owner."""
    if not path.exists():
        return
    for folder, _, _ in os.walk(path, onerror=None):
        os.chmod(folder, 0o700)
    import shutil

    shutil.rmtree(path, ignore_errors=True)
