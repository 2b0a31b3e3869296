"""The pages on plugins name what there is."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from img.plugin.offers import KINDS
from img.testing import ports, pytest_plugin, strategies
from img_cli.commands import plugin

DOCS = Path(__file__).parents[3] / "docs"


def test_every_suite_fake_and_fixture_is_there() -> None:
    text = (DOCS / "reference" / "testing.md").read_text()
    for module, name in re.findall(r"`(img\.testing\.\w+)\.(\w+)`", text):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
    for name in vars(ports):
        if name.startswith("Fake"):
            assert f"`{name}`" in text
    for name in vars(pytest_plugin):
        if name.startswith("img_"):
            assert f"`{name}`" in text
    said = re.search(r"`img\.testing\.strategies`: (.*)\.", text)
    assert said and all(callable(getattr(strategies, name)) for name in re.findall(r"`(\w+)`", said[1]))


def test_every_kind_is_told_of() -> None:
    hooks = (DOCS / "reference" / "hooks.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| `\w+`", hooks, re.M) and set(
        re.findall(r"^\| `(\w+)` \| `[A-Z]", hooks, re.M)
    ) == set(KINDS)
    howto = (DOCS / "howto" / "write-a-plugin.md").read_text()
    assert all(f"`{kind}`" in howto for kind in plugin.KINDS)
