"""img's own suites for what this package offers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import img
from img.session import Session
from img.testing import builders
from img.testing.frontends import FrontendConformance
from img.testing.plugins import PluginConformance

GOOD = """\
[project]
name = "x"
requires-python = ">=3.11"

[tool.img-python]
base = "base.example/python"
user = "1000"
command = ["python3", "a.py"]
"""


class TestPackage(PluginConformance):
    distribution = "img-python"


class TestFrontend(FrontendConformance):
    frontend, file, good = "python", "pyproject.toml", GOOD
    bad = ("[", "[project]\n", GOOD.replace("user", "usr"), GOOD.replace(">=3.11", "3,11"), GOOD + "files = 1\n")

    @pytest.fixture(scope="class")
    @classmethod
    def session(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
        """With the base in the store."""
        with img.Session(tmp_path_factory.mktemp("store")) as opened:
            builders.stored(opened, "base.example/python")
            yield opened
