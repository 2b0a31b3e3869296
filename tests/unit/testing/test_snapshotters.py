"""Both of img's ways to have a root pass the suite of snapshotters; one that is wrong does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from img.oci.changes import collect, index
from img.oci.copies import lay
from img.sandbox import libc
from img.sandbox.root import overlay
from img.testing.snapshotters import CHANGES, SnapshotterConformance

pytestmark = pytest.mark.root


class Overlay:
    """The kernel's, as the rungs *overlay* and *userns* mount it."""

    @contextmanager
    def root(self, trees: Sequence[str], upper: str, work: str) -> Iterator[str]:
        os.mkdir(f"{work}/stubs")
        overlay(work, list(trees), upper)
        try:
            yield f"{work}/root"
        finally:
            libc.umount(f"{work}/root")


class Copied:
    """A plain copy and an index of it, as the rung *copy* has them."""

    @contextmanager
    def root(self, trees: Sequence[str], upper: str, work: str) -> Iterator[str]:
        root = f"{work}/root"
        os.mkdir(root)
        for tree in trees:
            lay(tree, root)
        before = index(root)
        yield root
        collect(root, before, upper)


class TestOverlay(SnapshotterConformance):
    snapshotter = Overlay


class TestCopied(SnapshotterConformance):
    snapshotter = Copied


class Forgetful(Copied):
    """Copies what was written, and forgets what was removed."""

    @contextmanager
    def root(self, trees: Sequence[str], upper: str, work: str) -> Iterator[str]:
        root = f"{work}/root"
        os.mkdir(root)
        for tree in trees:
            lay(tree, root)
        yield root
        shutil.copytree(root, upper, dirs_exist_ok=True, symlinks=True)


class Wrong(SnapshotterConformance):
    snapshotter = Forgetful


def test_it_finds_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Wrong().test_what_was_changed_is_what_there_is("a file is removed", tmp_path)
    assert "a file is removed" in CHANGES
