"""The exporter in a real build of an empty image, and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import img
from img.errors import UsageError
from img_config.exporter import ConfigExporter


def test_the_configuration(tmp_path: Path) -> None:
    output = {"type": "config", "dest": str(tmp_path / "config.json")}
    img.build(img.scratch().env(A="1").cmd(["/a"]), root=tmp_path / "store", outputs=[output])
    (config,) = json.loads((tmp_path / "config.json").read_text())
    assert "A=1" in config["config"]["Env"] and config["config"]["Cmd"] == ["/a"]


@pytest.mark.parametrize("attrs", [{}, {"dest": "x", "name": "y"}])
def test_wrong_attributes(attrs: dict[str, str]) -> None:
    host: Any = None
    with pytest.raises(UsageError, match="takes dest alone, and has"):
        ConfigExporter(host).export([], attrs)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    host: Any = None
    with pytest.raises(UsageError, match="can't write .*No such file"):
        ConfigExporter(host).export([], {"dest": str(tmp_path / "nowhere" / "x")})
