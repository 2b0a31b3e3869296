"""What a pyproject.toml says of the project itself (PEP 621), as far as an image needs it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from img.errors import FrontendError
from img_python.document import Document
from img_python.settings import Settings

VERSIONS = tuple(f"3.{minor}" for minor in range(14, 8, -1))
"""Versions of Python that have an image of their own, newest first."""


class Project(NamedTuple):
    name: str
    python: str
    """``X.Y``"""
    dependencies: tuple[str, ...]
    """As PEP 508 has them, with those of the chosen extras."""
    scripts: tuple[str, ...]
    package: bool
    """Whether the project itself is installed."""
    dynamic: bool
    """Whether its version is computed, perhaps from git."""


def read_project(document: Document, settings: Settings, pinned: bytes | None) -> Project:
    """`pinned` is what the file ``.python-version`` says, if there is one. Raises `FrontendError`."""
    table = document.get("project") or {}
    if not isinstance(table, dict):
        raise FrontendError("project must be a table", place=document.place("project"))
    scripts = tuple(table.get("scripts") or {})
    package = settings.package
    if package is None:
        package = document.get("build-system") is not None or bool(scripts)
    name = table.get("name") or ""
    named = (isinstance(name, str) and name) or document.get("tool", "poetry", "name")
    if package and not named:
        hint = "name it, or say package = false in [tool.img-python]"
        raise FrontendError("the project has no name", hint=hint, place=document.place("project"))
    dynamic = table.get("dynamic") or []
    return Project(
        str(named or "app"),
        _version(document, pinned),
        _dependencies(document, table, settings),
        scripts,
        package,
        "version" in dynamic,
    )


def command(document: Document, project: Project, settings: Settings, venv: str) -> tuple[str, ...]:
    """What the image runs. Raises `FrontendError` if nothing says it."""
    if settings.command:
        return settings.command
    if settings.script:
        if settings.script not in project.scripts:
            hint = f"scripts: {', '.join(project.scripts) or 'none'}"
            place = document.place("tool", "img-python", "script")
            raise FrontendError(f"project.scripts has no {settings.script!r}", hint=hint, place=place)
        return (f"{venv}/bin/{settings.script}",)
    chosen = project.scripts if len(project.scripts) == 1 else [s for s in project.scripts if s == project.name]
    if chosen:
        return (f"{venv}/bin/{chosen[0]}",)
    if project.scripts:
        hint = f'say script = "…" in [tool.img-python]; scripts: {", ".join(project.scripts)}'
        raise FrontendError("the project has several scripts", hint=hint, place=document.place("project", "scripts"))
    hint = 'give it [project.scripts], or say command = ["python", "-m", "…"] in [tool.img-python]'
    raise FrontendError("nothing says what the image runs", hint=hint, place=document.place("project"))


def _version(document: Document, pinned: bytes | None) -> str:
    """The Python to use: what ``.python-version`` says, else the newest that ``requires-python`` allows."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if pinned is not None:
        match = re.match(r"\s*(?:cpython-?|python-?)?(\d+\.\d+)", pinned.decode("utf-8", "replace"))
        if match:
            return match[1]
    text = document.get("project", "requires-python") or document.get("tool", "poetry", "dependencies", "python") or ""
    place = document.place("project", "requires-python")
    if not isinstance(text, str):
        raise FrontendError("project.requires-python must be text", hint='e.g. ">=3.11"', place=place)
    try:
        wanted = SpecifierSet(_plain(text))
    except InvalidSpecifier:
        raise FrontendError(f"{text!r} says no versions of Python", hint='e.g. ">=3.11"', place=place) from None
    for version in VERSIONS:
        if any(wanted.contains(f"{version}.{patch}") for patch in (0, 999)):
            return version
    hint = f"known: {VERSIONS[-1]} to {VERSIONS[0]}; or name a base in [tool.img-python]"
    raise FrontendError(f"no Python that is known fits {text!r}", hint=hint, place=place)


def _plain(text: str) -> str:
    """Poetry's ``^3.11`` and ``~3.11`` in the standard's terms."""
    return re.sub(r"\^(\d+)((?:\.\d+)*)", r">=\1\2,<4", re.sub(r"~(?=\d)", "~=", text)).replace("*", "") or ""


def _dependencies(document: Document, table: dict[str, Any], settings: Settings) -> tuple[str, ...]:
    from packaging.requirements import InvalidRequirement, Requirement

    optional = table.get("optional-dependencies") or {}
    wanted: list[tuple[tuple[str, ...], Any]] = [(("project", "dependencies"), table.get("dependencies") or [])]
    for extra in settings.extras:
        if extra not in optional:
            hint = f"extras: {', '.join(optional) or 'none'}"
            place = document.place("tool", "img-python", "extras")
            raise FrontendError(f"the project has no extra {extra!r}", hint=hint, place=place)
        wanted.append((("project", "optional-dependencies", extra), optional[extra]))
    found: list[str] = []
    for path, items in wanted:
        for item in items if isinstance(items, list) else [items]:
            try:
                found.append(str(Requirement(item)))
            except (InvalidRequirement, TypeError, AttributeError) as error:
                message = f"{'.'.join(path)} has {item!r}, which is no requirement"
                hint = str(error).splitlines()[0]
                raise FrontendError(message, hint=hint, place=document.place(*path)) from None
    return tuple(dict.fromkeys(found))
