"""img's own suites for what this package offers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import img
from img.session import Session
from img.testing import builders
from img.testing.frontends import FrontendConformance
from img.testing.plugins import PluginConformance

GOOD = {"name": "x", "main": "a.js", "img-node": {"base": "base.example/node", "user": "1000"}}


class TestPackage(PluginConformance):
    distribution = "img-node"


class TestFrontend(FrontendConformance):
    frontend, file = "node", "package.json"
    good = json.dumps(GOOD, indent=2)
    bad = ("{", "[]", "{}", json.dumps({**GOOD, "scripts": 1}), json.dumps({**GOOD, "img-node": {"x": 1}}, indent=2))

    @pytest.fixture(scope="class")
    @classmethod
    def session(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
        """With the base in the store."""
        with img.Session(tmp_path_factory.mktemp("store")) as opened:
            builders.stored(opened, "base.example/node")
            yield opened
