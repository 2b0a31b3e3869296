"""The version of what img and plugins promise each other: hooks, offers, `img.ports`, and the names in ``import img``.

A plugin package says in its hooks module for which version it is written: ``img_contract = 1``. One that says nothing is for
version 1. The number changes only when a plugin that keeps to the contract would break; what is merely new does not change it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTRACT = 1
NAME = "img_contract"
FIRST = 1


def refusal(declared: Any, distribution: str, version: str) -> str:
    """Why a plugin that declares this can't be used, in one sentence; empty if it can."""
    if declared == CONTRACT and isinstance(declared, int):
        return ""
    from img._version import VERSION

    if not isinstance(declared, int) or isinstance(declared, bool):
        return f"{NAME} of {distribution} {version} is a whole number, not {declared!r}"
    return (
        f"{distribution} {version} is written for version {declared} of the plugin contract, "
        f"img {VERSION} has version {CONTRACT}: install a release of {distribution} for it"
    )


def declared_in(file: Path) -> Any:
    """What a hooks module that can't even be imported declares; version 1 if it says nothing that can be read."""
    import ast

    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return FIRST
    for line in tree.body:
        if isinstance(line, ast.Assign):
            named, value = line.targets, line.value
        elif isinstance(line, ast.AnnAssign) and line.value is not None:
            named, value = [line.target], line.value
        else:
            continue
        if any(isinstance(one, ast.Name) and one.id == NAME for one in named) and isinstance(value, ast.Constant):
            return value.value
    return FIRST
