"""Secrets of a build: where each comes from. Bytes are read when a step wants them and are never kept on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LIMIT = 500 << 10
"""Bytes of the largest secret (BuildKit's bound)."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One secret: the file it is in, the command that prints it, or its value (from the environment of whoever
    asked). `repr` shows no value."""

    kind: Literal["file", "command", "value"]
    source: str = field(repr=False)
