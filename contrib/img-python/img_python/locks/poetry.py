"""poetry.lock as Poetry 2 writes it (lock-version 2.1 and later), where each package says its groups and markers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from img.errors import FrontendError
from img_python.document import Document
from img_python.locks import line
from img_python.project import Project
from img_python.settings import Settings

MAIN = "main"


def packages(lock: Document, project: Project, settings: Settings) -> Iterator[str]:
    """The packages of the group main as lines of a requirements file. Raises `FrontendError`."""
    version = str(lock.get("metadata", "lock-version") or "")
    if not version.startswith("2.") or version == "2.0":
        place = lock.place("metadata", "lock-version")
        hint = "write it again with Poetry 2: poetry lock"
        raise FrontendError(f"{lock.file} has the format {version or 'of an old Poetry'}", hint=hint, place=place)
    if settings.extras:
        hint = "name a pylock.toml instead: poetry export -f pylock.toml"
        raise FrontendError("extras can't be chosen from a poetry.lock", hint=hint, place=lock.place("metadata"))
    for index, package in enumerate(lock.get("package") or []):
        if MAIN in package.get("groups", ()):
            yield _line(lock, index, package)


def _line(lock: Document, index: int, package: dict[str, Any]) -> str:
    name, source = str(package.get("name")), package.get("source") or {}
    if source.get("type", "legacy") != "legacy":
        hint = "only packages of an index can be held to a digest; put it into one"
        raise FrontendError(
            f"{name} comes from {source['type']}", hint=hint, place=lock.place_of_item("package", index)
        )
    markers = package.get("markers", "")
    if isinstance(markers, dict):
        markers = markers.get(MAIN, "")
    return line(name, str(package.get("version")), markers, (file["hash"] for file in package.get("files", ())))
