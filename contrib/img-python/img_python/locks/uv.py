"""uv.lock: a graph of packages. What the project reaches is installed, each package under the condition by which it is
reached: the markers along a way joined with ``and``, the ways with ``or``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from img.errors import FrontendError
from img_python.document import Document
from img_python.locks import line
from img_python.project import Project
from img_python.settings import Settings

MOST_WAYS = 64
"""Ways to one package that are told apart; beyond, the package is installed whatever the markers say."""

Way = frozenset[str]
"""Markers that must all hold."""


class _Step(NamedTuple):
    """A package, or one of its extras, that is reached by `way`."""

    package: int
    extra: str
    way: Way


def packages(lock: Document, project: Project, settings: Settings) -> Iterator[str]:
    """What the project needs as lines of a requirements file. Raises `FrontendError`."""
    if lock.get("version") != 1:
        raise FrontendError(f"{lock.file} has another format", hint="this reads version 1", place=lock.place("version"))
    table: list[dict[str, Any]] = lock.get("package") or []
    ways = _ways(lock, table, _root(lock, table), settings.extras)
    for index, reached in ways.items():
        yield _line(lock, index, table[index], reached)


def _root(lock: Document, table: list[dict[str, Any]]) -> int:
    for index, package in enumerate(table):
        source = package.get("source") or {}
        if "." in (source.get("virtual"), source.get("editable"), source.get("directory")):
            return index
    hint = "write it again beside the project: uv lock"
    raise FrontendError(f"{lock.file} does not have the project itself", hint=hint, place=lock.place("package"))


def _ways(lock: Document, table: list[dict[str, Any]], root: int, extras: tuple[str, ...]) -> dict[int, set[Way]]:
    """By which ways each package is reached from the root, which is not among them."""
    found: dict[int, set[Way]] = {}
    seen: dict[tuple[int, str], set[Way]] = {}
    waiting = deque(_Step(root, extra, frozenset()) for extra in ("", *extras))
    while waiting:
        index, extra, way = waiting.popleft()
        if not _new(seen.setdefault((index, extra), set()), way):
            continue
        if index != root:
            _new(found.setdefault(index, set()), way)
        package = table[index]
        needs = package.get("optional-dependencies", {}).get(extra) if extra else package.get("dependencies")
        if needs is None and extra and index == root:
            raise FrontendError(
                f"{lock.file} has no extra {extra!r}", hint="uv lock", place=lock.place_of_item("package", root)
            )
        for need in needs or ():
            further = way | {need["marker"]} if need.get("marker") else way
            target = _target(lock, table, index, need)
            waiting.extend(_Step(target, inner, further) for inner in ("", *need.get("extra", ())))
    return found


def _new(known: set[Way], way: Way) -> bool:
    """Enter a way, unless a weaker condition is known. Stronger ones are forgotten."""
    if any(other <= way for other in known):
        return False
    if len(known) >= MOST_WAYS:
        known.clear()
        known.add(frozenset())
        return True
    known.difference_update([other for other in known if way <= other])
    known.add(way)
    return True


def _target(lock: Document, table: list[dict[str, Any]], index: int, need: dict[str, Any]) -> int:
    for number, package in enumerate(table):
        if package.get("name") != need.get("name"):
            continue
        if all(need[key] == package.get(key) for key in ("version", "source") if key in need):
            return number
    place = lock.place_of_item("package", index)
    raise FrontendError(f"{lock.file} has no package {need.get('name')!r}", hint="write it again: uv lock", place=place)


def _line(lock: Document, index: int, package: dict[str, Any], ways: set[Way]) -> str:
    name, source = package.get("name"), package.get("source") or {}
    if "registry" not in source:
        kind = next(iter(source), "nowhere")
        hint = "only packages of an index can be held to a digest; put it into one"
        raise FrontendError(f"{name} comes from {kind}", hint=hint, place=lock.place_of_item("package", index))
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    return line(
        str(name), str(package.get("version")), _marker(ways), (file["hash"] for file in files if "hash" in file)
    )


def _marker(ways: set[Way]) -> str:
    if frozenset() in ways:
        return ""
    joined = sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways)
    return joined[0] if len(joined) == 1 else " or ".join(f"({one})" for one in joined)
