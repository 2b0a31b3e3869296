"""Sixty Dockerfiles of the kinds that people write, for tests that need many (``corpus.txt``)."""

from __future__ import annotations

import re
from pathlib import Path


def files() -> dict[str, str]:
    """Names and texts."""
    text = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^%%% (.*)\n((?:(?!%%%).*\n)*)", text, re.M))
