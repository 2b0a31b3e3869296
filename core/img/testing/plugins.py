"""The conformance suite for a plugin package as a whole, whatever it offers.

from img.testing.plugins import PluginConformance

class TestPackage(PluginConformance):
    distribution = "img-mine"
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from img.plugin import CONTRACT
from img.plugin.contract import NAME
from img.plugin.registry import OURS, Entry, Registry
from img.session import Session

HEAVY = (
    "asyncio",
    "img.session",
    "lark",
    "rich",
    "typer",
    "urllib3",
    "yaml",
    "grpc",
    "importlib_metadata",
    "subprocess",
)
"""Modules that make listing plugins slow."""


class PluginConformance:
    """It is found, light to list, what it says is so, and img works without it."""

    distribution: ClassVar[str] = ""
    heavy: ClassVar[tuple[str, ...]] = HEAVY

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls) -> Registry:
        assert cls.distribution, "say which package: set `distribution`"
        return Registry.discover()

    def entries(self, registry: Registry) -> list[Entry]:
        found = [entry for entry in registry.entries if entry.distribution == self.distribution]
        assert found, f"{self.distribution} is not among the plugins; left out: {registry.broken or 'none'}"
        return found

    def test_it_is_found_and_not_left_out(self, registry: Registry) -> None:
        assert not [words for name, words in registry.broken.items() if f"({self.distribution})" in name]
        assert self.entries(registry)

    def test_it_says_for_which_contract_it_is_written(self, registry: Registry) -> None:
        for entry in self.entries(registry):
            declared = vars(sys.modules[entry.module]).get(NAME)
            assert declared == CONTRACT, f"write `{NAME} = {CONTRACT}` in {entry.module}"

    def test_listing_it_imports_nothing_heavy(self, registry: Registry) -> None:
        targets = [o.target.partition(":")[0] for o, d in registry.offers() if d == self.distribution]
        for entry in self.entries(registry):
            path = json.dumps([place for place in sys.path if place])
            program = (
                f"import sys, json, importlib; sys.path[:0] = json.loads({path!r}); "
                f"importlib.import_module({entry.module!r}); print(json.dumps(sorted(sys.modules)))"
            )
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            loaded = set(json.loads(done.stdout))
            assert not loaded & {*self.heavy, *targets}, (
                f"{entry.module} imports {sorted(loaded & {*self.heavy, *targets})}"
            )

    def test_every_offer_can_be_made(self, registry: Registry, tmp_path: Path) -> None:
        with Session(tmp_path / "store", registry=registry) as session:
            for offer, distribution in registry.offers():
                if distribution == self.distribution:
                    assert offer.help.strip() and "\n" not in offer.help
                    assert session.engine.load(offer.kind, offer.name) is not None

    def test_settings_have_words_and_a_variable(self, registry: Registry) -> None:
        without = Registry.discover(frozenset({self.distribution}))
        known = {setting.name for setting in without.settings}
        for setting in registry.settings:
            if setting.name not in known:
                assert setting.help.strip(), f"the setting {setting.name} has no words"
                assert setting.env.startswith("IMG_"), f"the variable of {setting.name} begins with IMG_"

    def test_img_works_without_it(self, registry: Registry) -> None:
        if self.distribution == OURS:
            return
        without = Registry.discover(frozenset({self.distribution}))
        ours = {(offer.kind, offer.name) for offer, distribution in registry.offers() if distribution == OURS}
        assert ours <= {(offer.kind, offer.name) for offer, _ in without.offers()}
        assert not [1 for _, distribution in without.offers() if distribution == self.distribution]
