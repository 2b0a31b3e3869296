"""Hooks and offers: every hook has its test, and strangers come through the same door."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pluggy
import pytest

from img.errors import PluginError
from img.plugin import specs
from img.plugin.mark import hookimpl
from img.plugin.offers import Offer
from img.plugin.registry import OURS, Entry, Registry
from img.plugin.scan import join

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def registry() -> Registry:
    return Registry.discover()


@pytest.fixture
def stranger() -> Iterator[Registry]:
    """A registry with img's own hooks and those of a module of another distribution."""
    module = ModuleType("stranger_hooks")

    @hookimpl
    def img_detect_frontend(file: str, head: bytes) -> str | None:
        return "strange" if file.endswith(".strange") else None

    @hookimpl
    def img_credentials(host: str, scope: str) -> tuple[str, str] | None:
        return ("user", "word") if host == "here" else None

    module.img_detect_frontend = img_detect_frontend  # type: ignore[attr-defined]
    module.img_credentials = img_credentials  # type: ignore[attr-defined]
    sys.modules["stranger_hooks"] = module
    ours = Entry("frontends", "img_frontends.hooks", OURS, "1", ("img_detect_frontend", "img_offers"))
    theirs = Entry("stranger", "stranger_hooks", "stranger", "1", ("img_credentials", "img_detect_frontend"))
    yield Registry([ours, theirs], {})
    del sys.modules["stranger_hooks"]


def test_hook_img_offers(registry: Registry) -> None:
    assert {"dockerfile"} <= set(registry.names("frontend"))
    assert {"image", "local", "oci", "registry", "tar"} <= set(registry.names("exporter"))
    assert registry.broken == {}


def test_hook_img_settings(registry: Registry) -> None:
    assert {"network", "pull", "steps"} <= {setting.name for setting in registry.settings}


def test_hook_img_detect_frontend(stranger: Registry) -> None:
    assert stranger.first("img_detect_frontend", file="x.strange", head=b"") == "strange"
    assert stranger.first("img_detect_frontend", file="Dockerfile", head=b"") == "dockerfile"


def test_hook_img_credentials(stranger: Registry, registry: Registry) -> None:
    assert stranger.first("img_credentials", host="here", scope="") == ("user", "word")
    assert stranger.first("img_credentials", host="there", scope="") is None


def test_every_hook_is_documented_with_its_signature() -> None:
    text = (ROOT / "docs" / "reference" / "hooks.md").read_text()
    for name, function in vars(specs).items():
        if name.startswith("img_"):
            signature = str(inspect.signature(function)).replace("'", "")
            assert f"## `{name}{signature}`" in text


def test_the_mark_is_pluggys() -> None:
    def ours() -> None: ...

    def theirs() -> None: ...

    assert hookimpl(ours).img_impl == pluggy.HookimplMarker("img")(theirs).img_impl  # type: ignore[attr-defined]


def test_every_offer_can_be_loaded(registry: Registry) -> None:
    for offer, _ in registry.offers():
        assert callable(registry.load(offer.kind, offer.name))


def test_two_offers_of_one_name_are_an_error_that_names_both() -> None:
    offer = Offer("exporter", "x", "", "m:a")
    with pytest.raises(PluginError, match="both one and two offer an exporter named 'x'"):
        join({("exporter", "x"): (offer, "one")}, [offer], "two")


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(PluginError, match="which is no kind of offer"):
        join({}, [Offer("thing", "x", "", "m:a")], "one")  # type: ignore[arg-type]


def test_what_cannot_be_loaded_is_explained() -> None:
    offer = Offer("exporter", "x", "", "nowhere:nothing")
    registry = Registry([], {("exporter", "x"): (offer, "broken-package")})
    with pytest.raises(PluginError, match="the exporter 'x' of broken-package can't be loaded: ModuleNotFoundError"):
        registry.load("exporter", "x")
    with pytest.raises(PluginError, match="there is no exporter named 'y'"):
        registry.load("exporter", "y")


def test_the_index_is_kept_and_found_again(tmp_path: Path) -> None:
    first = Registry.discover(cache=tmp_path)
    (cache,) = tmp_path.iterdir()
    second = Registry.discover(cache=tmp_path)
    assert second.offers() == first.offers()
    assert second.settings == first.settings
    cache.write_text("{}")
    assert Registry.discover(cache=tmp_path).offers() == first.offers()


def test_disabling() -> None:
    assert Registry.discover(frozenset({"frontends"})).names("frontend") == []
    assert Registry.discover(frozenset({OURS})).names("exporter") in ([], ["files"])
