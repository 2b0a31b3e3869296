"""The conformance suite for exporters.

from img.testing.exporters import ExporterConformance

class TestMine(ExporterConformance):
    exporter = "mine"

    def attrs(self, folder, session):
        return {"dest": str(folder / "out")}
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from img.digest import is_digest
from img.errors import ImgError, UsageError
from img.ports import Export, Exported, Snapshot
from img.session import Session
from img.testing import builders
from img.testing.suite import Conformance, plain_json

LOST = "sha256:" + "0" * 64
"""A layer that no store has."""


class ExporterConformance(Conformance):
    """Finished targets out: attributes checked, all or nothing, the same bytes for the same targets."""

    kind = "exporter"
    exporter: ClassVar[str] = ""
    needs: ClassVar[Sequence[str]] = ("dest",)
    """Attributes without which it refuses."""
    several: ClassVar[bool] = True
    """Whether it takes several platforms at once; else they are a `UsageError`."""
    reproducible: ClassVar[bool] = True
    """Whether what it writes into the folder is the same for the same targets."""

    def attrs(self, folder: Path, session: Session) -> Mapping[str, str]:
        """Attributes for one export, which writes into `folder` if it needs a place."""
        return {"dest": str(folder / "out")}

    @pytest.fixture
    def exports(self, session: Session, tmp_path: Path) -> list[Export]:
        """One finished target."""
        return builders.exports(session, builders.state(tmp_path / "context"))

    def export(self, plugin: Any, exports: Sequence[Export], folder: Path, session: Session) -> Exported:
        folder.mkdir(exist_ok=True)
        done = plugin.export(exports, self.attrs(folder, session))
        assert isinstance(done, Exported), f"export returned {type(done).__name__}, not Exported"
        return done

    def test_it_says_what_it_did(self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path) -> None:
        done = self.export(plugin, exports, tmp_path / "a", session)
        assert done.line.strip() and "\n" not in done.line
        assert plain_json(dict(done.facts))
        digest = done.facts.get("containerimage.digest")
        assert digest is None or is_digest(digest)

    def test_the_same_targets_are_the_same_bytes(
        self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path
    ) -> None:
        first = self.export(plugin, exports, tmp_path / "a", session)
        second = self.export(plugin, exports, tmp_path / "b", session)
        if self.reproducible:
            assert tree(tmp_path / "a") == tree(tmp_path / "b")
            assert first.facts.get("containerimage.digest") == second.facts.get("containerimage.digest")

    def test_again_over_what_is_there(
        self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path
    ) -> None:
        self.export(plugin, exports, tmp_path / "a", session)
        once = tree(tmp_path / "a")
        self.export(plugin, exports, tmp_path / "a", session)
        assert tree(tmp_path / "a") == once or not self.reproducible

    def test_unknown_attributes_are_named(
        self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path
    ) -> None:
        folder = tmp_path / "a"
        folder.mkdir()
        given = {**self.attrs(folder, session), "no-such-attribute": "1"}
        with pytest.raises(UsageError) as caught:
            plugin.export(exports, given)
        assert "no-such-attribute" in f"{caught.value} {caught.value.hint}"
        assert tree(folder) == {}, "something was written before the attributes were checked"

    def test_missing_attributes_are_named(
        self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path
    ) -> None:
        folder = tmp_path / "a"
        folder.mkdir()
        for name in self.needs:
            given = {key: value for key, value in self.attrs(folder, session).items() if key != name}
            with pytest.raises(UsageError) as caught:
                plugin.export(exports, given)
            assert name in f"{caught.value} {caught.value.hint}"

    def test_nothing_is_left_of_what_failed(
        self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path
    ) -> None:
        """A layer that can't be had: an error of img, and no half of an image where it was to go."""
        folder = tmp_path / "a"
        folder.mkdir()
        broken = Export(exports[0].target, Snapshot((LOST,)), ((LOST,),), exports[0].created)
        with pytest.raises(ImgError):
            plugin.export([broken], self.attrs(folder, session))
        assert tree(folder) == {}

    def test_several_platforms(self, plugin: Any, session: Session, tmp_path: Path) -> None:
        made = builders.exports(session, builders.state(tmp_path / "context"), ("linux/amd64", "linux/arm64"))
        if not self.several:
            with pytest.raises(UsageError):
                self.export(plugin, made, tmp_path / "a", session)
            return
        assert self.export(plugin, made, tmp_path / "a", session).line


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of everything below a folder; empty if it is not there. Locks are not content."""
    found: dict[str, tuple[int, bytes]] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            data = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(folder))] = (path.lstat().st_mode, data)
    return found
