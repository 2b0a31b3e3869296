"""The conformance suite for remote caches.

from img.testing.caches import CacheConformance

class TestMine(CacheConformance):
    cache = "mine"

    def attrs(self, folder, writes):
        return {"dest" if writes else "src": str(folder / "cache")}
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from img.digest import sha256
from img.errors import CacheMoved, ImgError, UsageError
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.plan import Answers
from img.request import Options
from img.session import Session
from img.solver.index import CachedLayer, CacheIndex
from img.store.forms import LayerBlob
from img.testing import builders
from img.testing.suite import Conformance, Watcher

PATIENCE = 30
"""Seconds that looking a broken cache up may take at most."""


class CacheConformance(Conformance):
    """Results of steps, kept for other machines: found again whole, and never a hindrance."""

    kind = "cache"
    cache: ClassVar[str] = ""
    marks: ClassVar[bool] = True
    """Whether it tells that somebody else wrote to it meanwhile (`CacheMoved`)."""

    def attrs(self, folder: Path, writes: bool) -> Mapping[str, str]:
        """Attributes to write to, or to read from, a cache that is empty at first; in `folder` if it needs a place."""
        raise NotImplementedError("the suite needs a place for a cache: write `attrs`")

    def broken(self, folder: Path) -> Mapping[str, str] | None:
        """Attributes to read from a cache that can't be reached, or is not one; None if there is no such thing."""
        return None

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "cache").mkdir()
        return tmp_path / "cache"

    def keep(self, plugin: Any, session: Session, folder: Path, words: str, mark: str | None = None) -> LayerBlob:
        """Save an index of one layer; returns the layer's blob."""
        data = words.encode() * 100
        descriptor = Descriptor(OCI_LAYER_GZIP, session.store.blobs.put(data), len(data))
        blob = LayerBlob(descriptor, sha256(data))
        layer = CachedLayer(sha256(b"id" + data), blob, 0.0)
        index = CacheIndex({layer.id: layer}, words={})
        document = json.dumps(index.document(), sort_keys=True).encode()
        said = plugin.save(self.attrs(folder, True), document, [blob], mark)
        assert isinstance(said, str) and said.strip() and "\n" not in said
        return blob

    def test_nothing_is_there_at_first(self, plugin: Any, folder: Path) -> None:
        assert list(plugin.load(self.attrs(folder, False))) == []

    def test_what_was_saved_is_found(self, plugin: Any, session: Session, folder: Path) -> None:
        blob = self.keep(plugin, session, folder, "one")
        (found,) = plugin.load(self.attrs(folder, False))
        index = CacheIndex.parse(found.document)
        assert [one.blob.descriptor.digest for one in index.layers.values()] == [blob.descriptor.digest]
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in found.origin.items())
        data = ("one" * 100).encode()
        with plugin.open_blob(found.origin, blob.descriptor) as stream:
            assert stream.read() == data
        with plugin.open_blob(found.origin, blob.descriptor, 7) as stream:
            assert stream.read() == data[7:]

    def test_missing_blobs_are_told_in_one_go(self, plugin: Any, session: Session, folder: Path) -> None:
        blob = self.keep(plugin, session, folder, "one")
        (found,) = plugin.load(self.attrs(folder, False))
        lost = Descriptor(OCI_LAYER_GZIP, "sha256:" + "0" * 64, 5)
        assert plugin.missing(found.origin, [blob.descriptor, lost]) == {lost.digest}
        assert plugin.missing(found.origin, []) == frozenset()
        with pytest.raises(ImgError), plugin.open_blob(found.origin, lost) as stream:
            stream.read()

    def test_the_last_one_counts(self, plugin: Any, session: Session, folder: Path) -> None:
        self.keep(plugin, session, folder, "one")
        blob = self.keep(plugin, session, folder, "two")
        (found,) = plugin.load(self.attrs(folder, False))
        (layer,) = CacheIndex.parse(found.document).layers.values()
        assert layer.blob == blob

    def test_somebody_else_wrote_meanwhile(self, plugin: Any, session: Session, folder: Path) -> None:
        if not self.marks:
            return
        self.keep(plugin, session, folder, "one", "")
        (found,) = plugin.load(self.attrs(folder, False))
        assert found.mark
        self.keep(plugin, session, folder, "two", found.mark)
        with pytest.raises(CacheMoved):
            self.keep(plugin, session, folder, "three", found.mark)
        with pytest.raises(CacheMoved):
            self.keep(plugin, session, folder, "three", "")
        (after,) = plugin.load(self.attrs(folder, False))
        assert after.mark != found.mark

    @pytest.mark.parametrize("writes", [True, False])
    def test_attributes_are_checked_without_asking_anybody(self, plugin: Any, folder: Path, writes: bool) -> None:
        given = self.attrs(folder, writes)
        plugin.check(given, writes)
        with pytest.raises(UsageError) as caught:
            plugin.check({**given, "no-such-attribute": "1"}, writes)
        assert "no-such-attribute" in f"{caught.value} {caught.value.hint}"

    def test_what_one_machine_built_another_does_not(self, session: Session, folder: Path, tmp_path: Path) -> None:
        state = builders.state(tmp_path / "context")
        made = state.definition(Answers(session.engine), "linux/amd64")
        contexts = {name: Path(path) for name, path in state.contexts.items()}
        to = {"type": self.offered(), **self.attrs(folder, True), "mode": "max"}
        session.build_definition(made, Options(cache_to=(to,)), contexts)
        watcher = Watcher()
        source = {"type": self.offered(), **self.attrs(folder, False)}
        with Session(tmp_path / "other", self.settings) as other:
            other.build_definition(made, Options(cache_from=(source,)), contexts, [watcher])
        assert not [e for e in watcher.events if type(e).__name__ == "StepStarted"], "the other machine ran a step"

    def test_a_broken_cache_costs_an_error_not_the_build(
        self, plugin: Any, session: Session, folder: Path, tmp_path: Path
    ) -> None:
        given = self.broken(folder)
        if given is None:
            return
        began = time.monotonic()
        with pytest.raises(ImgError):
            list(plugin.load(given))
        assert time.monotonic() - began < PATIENCE
        state = builders.state(tmp_path / "context")
        made = state.definition(Answers(session.engine), "linux/amd64")
        contexts = {name: Path(path) for name, path in state.contexts.items()}
        session.build_definition(made, Options(cache_from=({"type": self.offered(), **given},)), contexts)
