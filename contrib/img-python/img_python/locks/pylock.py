"""pylock.toml (PEP 751), which pip, uv and pdm write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from img.errors import FrontendError
from img_python.document import Document
from img_python.locks import line
from img_python.project import Project
from img_python.settings import Settings

_CHOICE = re.compile(r"\b(extras|dependency_groups)\b")


def packages(lock: Document, project: Project, settings: Settings) -> Iterator[str]:
    """Every package as a line of a requirements file. Raises `FrontendError`."""
    if not str(lock.get("lock-version") or "").startswith("1."):
        hint = "this reads lock-version 1"
        raise FrontendError(f"{lock.file} has another format", hint=hint, place=lock.place("lock-version"))
    for index, package in enumerate(lock.get("packages") or []):
        found = _line(lock, index, package)
        if found:
            yield found


def _line(lock: Document, index: int, package: dict[str, Any]) -> str:
    place = lock.place_of_item("packages", index)
    name, marker = package.get("name"), package.get("marker", "")
    if _CHOICE.search(marker):
        hint = "write a lock file for what the image needs alone"
        raise FrontendError(f"{name} depends on a choice of extras or groups", hint=hint, place=place)
    directory = package.get("directory")
    if directory is not None and directory.get("path") in (".", "./"):
        return ""  # the project itself
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    version = package.get("version")
    if not files or not version:
        hint = "only packages of an index can be held to a digest; put it into one"
        raise FrontendError(f"{name} is not a package of an index", hint=hint, place=place)
    hashes = [f"{kind}:{value}" for file in files for kind, value in file.get("hashes", {}).items()]
    return line(str(name), str(version), marker, hashes)
