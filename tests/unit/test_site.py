"""The pages of the reference that are made from the program are what the program says now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("path", "text"), sorted(generator().pages().items()), ids=lambda value: str(value)[:40])
def test_a_page_is_what_the_program_says(path: str, text: str) -> None:
    assert (DOCS / path).read_text(encoding="utf-8") == text, "run: python docs/generate.py"
