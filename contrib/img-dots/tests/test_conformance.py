"""img's own suites for what this package offers."""

from __future__ import annotations

from img.testing.plugins import PluginConformance
from img.testing.reporters import ReporterConformance


class TestPackage(PluginConformance):
    distribution = "img-dots"


class TestReporter(ReporterConformance):
    reporter = "dots"
