"""Puts the compiled Dockerfile grammar into the wheel: loading it takes a tenth of the time that compiling does."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "img_frontends/dockerfile"


class GrammarHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs ``grammar.save`` for each escape character; the files exist in the wheel only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds a target. An editable install compiles the grammar at run time."""
        if self.target_name != "wheel" or version == "editable":
            return
        path = Path(self.root, "frontends", PACKAGE, "grammar.py")
        spec = importlib.util.spec_from_file_location("dockerfile_grammar", path)
        assert spec is not None and spec.loader is not None
        grammar = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(grammar)
        self._folder = tempfile.TemporaryDirectory()
        for escape in grammar.ESCAPES:
            saved = grammar.save(escape, Path(self._folder.name))
            build_data["force_include"][str(saved)] = f"{PACKAGE}/{saved.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called when the target is built."""
        folder = getattr(self, "_folder", None)
        if folder is not None:
            folder.cleanup()
