"""The conformance suite for sources.

from img.testing.sources import SourceConformance

class TestMine(SourceConformance):
    source = "mine"

    def available(self, folder, session):
        return Source("mine", "mine://thing"), {"a.txt": b"what is in it"}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from img.errors import ImgError
from img.ir.definition import Definition, Target
from img.ir.nodes import Copy, Scratch, Source
from img.ir.values import Notes
from img.ports import BaseImage, Folder, Pin, Snapshot
from img.request import Options
from img.session import Session
from img.testing.suite import Conformance, Watcher


class SourceConformance(Conformance):
    """Files from outside: pinned cheaply and stably, fetched whole, the same for the same pin."""

    kind = "source"
    source: ClassVar[str] = ""
    image: ClassVar[bool] = False
    """Whether its things are images (`img.ports.ImageSource`)."""
    wrong: ClassVar[tuple[Source, ...]] = ()
    """Sources that there are not."""

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        """Make something that the source can fetch, in `folder` if it needs a place; its node, and some of its files by path.
        Called once a case."""
        raise NotImplementedError("the suite needs something to fetch: write `available`")

    @pytest.fixture
    def given(self, tmp_path: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        folder = tmp_path / "available"
        folder.mkdir()
        return self.available(folder, session)

    def test_a_pin_is_stable(self, plugin: Any, given: tuple[Source, Mapping[str, bytes]], session: Session) -> None:
        """Asked again, also of another object, the same thing has the same key."""
        first = plugin.pin(given[0])
        assert first is None or (isinstance(first, Pin) and first.key and isinstance(first.words, str))
        other = session.registry.load("source", self.offered())(session.engine)
        assert plugin.pin(given[0]) == first
        again = other.pin(given[0])
        assert (again and again.key) == (first and first.key)

    def test_what_is_fetched_is_there(
        self, plugin: Any, given: tuple[Source, Mapping[str, bytes]], session: Session
    ) -> None:
        result = plugin.fetch(given[0])
        if isinstance(result, Folder):
            for path, data in given[1].items():
                assert Path(result.path, path).read_bytes() == data
        else:
            assert isinstance(result, Snapshot), f"fetch returned {type(result).__name__}"
            assert all(session.store.layers.get(id) is not None for id in result.layers), (
                "a layer the store does not know"
            )
        assert plugin.fetch(given[0]) == result

    def test_it_is_copied_into_an_image_and_cached(
        self, given: tuple[Source, Mapping[str, bytes]], session: Session, tmp_path: Path
    ) -> None:
        """A build that copies all of it has its files; a second build runs nothing."""
        source, files = given
        node = Copy(Scratch(), source, (".",), "/", notes=Notes("COPY . /"))
        config = {"architecture": "amd64", "os": "linux", "config": {}, "history": [{"created_by": "x"}]}
        made = Definition((Target(node, config, "linux/amd64", (node.digest,)),))
        contexts = dict(session.engine.contexts)
        out = tmp_path / "out"
        wanted = Options(outputs=({"type": "local", "dest": str(out)},))
        session.build_definition(made, wanted, contexts)
        for path, data in files.items():
            assert (out / path).read_bytes() == data
        watcher = Watcher()
        session.build_definition(made, Options(), contexts, [watcher])
        assert not [e for e in watcher.events if type(e).__name__ == "StepStarted"], "the second build ran a step"

    def test_what_is_not_there_is_an_error_of_img(self, plugin: Any) -> None:
        for source in self.wrong:
            with pytest.raises(ImgError) as caught:
                plugin.pin(source)
                plugin.fetch(source)
            assert str(caught.value) and not str(caught.value).endswith(".")

    def test_its_images_have_configurations(self, plugin: Any, given: tuple[Source, Mapping[str, bytes]]) -> None:
        if not self.image:
            assert not hasattr(plugin, "resolve"), "it resolves images: set `image` to True"
            return
        source = given[0]
        platform = dict(source.attrs).get("platform", "linux/amd64")
        found = plugin.resolve(source.ref, platform)
        assert isinstance(found, BaseImage) and found.source.scheme == source.scheme
        assert found.config["os"] == "linux" and found.layers == len(plugin.fetch(found.source).layers)
        assert plugin.pin(found.source).key == plugin.pin(found.source).key
