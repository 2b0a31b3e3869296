"""img's own suites for what this package offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from img.errors import ImgError
from img.ports import Export
from img.session import Session
from img.testing.exporters import ExporterConformance
from img.testing.plugins import PluginConformance


class TestPackage(PluginConformance):
    distribution = "img-config"


class TestExporter(ExporterConformance):
    exporter = "config"

    def test_nothing_is_left_of_what_failed(
        self, plugin: Any, exports: list[Export], session: Session, tmp_path: Path
    ) -> None:
        """No layer is looked at, so none can be missing; the place can."""
        with pytest.raises(ImgError):
            plugin.export(exports, {"dest": str(tmp_path)})
        assert not list(tmp_path.glob("**/*.part"))
