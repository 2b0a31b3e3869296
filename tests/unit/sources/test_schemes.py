"""Sources of strangers: their addresses stand wherever an image or a context may, found by the name of the offer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import img
from img.contexts import named, remote, schemes
from img.engine import Engine
from img.errors import UsageError
from img.ir.nodes import Source
from img.plan import Answers
from img.plugin.offers import Offer
from img.plugin.registry import Registry
from img.ports import BaseImage, Folder, Host, Pin, Snapshot


class Images:
    """Every word is the name of an image."""

    def __init__(self, host: Host) -> None: ...

    def resolve(self, ref: str, platform: str) -> BaseImage:
        return BaseImage(Source("strange", ref, (("platform", platform),)), {"config": {}}, 1)

    def pin(self, source: Source) -> Pin:
        return Pin(source.ref)

    def fetch(self, source: Source) -> Snapshot:
        return Snapshot()


class Files:
    """A folder with one file."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def pin(self, source: Source) -> Pin:
        return Pin(source.ref)

    def fetch(self, source: Source) -> Folder:
        folder = self._host.store.scratch()
        (folder / source.ref).write_text("there")
        return Folder(str(folder))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    module = ModuleType("strange_sources")
    module.Images, module.Files = Images, Files  # type: ignore[attr-defined]
    sys.modules["strange_sources"] = module
    offers = {("source", name): f"strange_sources:{what}" for name, what in (("strange", "Images"), ("box", "Files"))}
    registry = Registry([], {key: (Offer("source", key[1], "", place), "other") for key, place in offers.items()})
    engine = Engine(tmp_path / "store", {}, registry)
    yield engine
    engine.close()
    del sys.modules["strange_sources"]


def test_an_image_wherever_one_may_be_named(engine: Engine) -> None:
    source = Source("strange", "word?a=b", (("platform", "linux/amd64"),))
    assert Answers(engine).image("strange://word?a=b", "linux/amd64").source == source
    engine.given = named.normal_names({"base": "strange://word?a=b"})
    found = Answers(engine).named("base", "linux/amd64")
    assert isinstance(found, BaseImage) and found.source == source and found.source.is_image
    with pytest.raises(UsageError, match="the context 'base' is an image"):
        named.need_files(engine, "base")


def test_files_wherever_a_context_may_be(engine: Engine) -> None:
    source = remote.source_of("box://a", engine=engine)
    assert source == Source("box", "a") and not source.is_image
    engine.given = named.normal_names({"files": "box://a"})
    found = Answers(engine).named("files", "linux/amd64")
    assert found == Source("local", "files")
    assert (engine.contexts["files"] / "a").read_text() == "there"


def test_schemes_that_nobody_has(engine: Engine) -> None:
    with pytest.raises(UsageError, match="no source named 'deb' is installed that has some") as caught:
        Answers(engine).image("deb://bookworm", "linux/amd64")
    assert caught.value.hint == "sources of images: strange"
    with pytest.raises(UsageError, match="no source named 'box'"):
        Answers(engine).image("box://a", "linux/amd64")
    assert schemes.files(engine, "https://x/y") is None
    assert remote.source_of("deb://bookworm", engine=engine) is None


def test_python_takes_addresses(engine: Engine) -> None:
    made = img.image("strange://word").definition(Answers(engine), "linux/amd64")
    assert made.targets[0].root == Source("strange", "word", (("platform", "linux/amd64"),))
    with pytest.raises(UsageError):
        img.image("not a name")
