"""containers' ``registries.conf``, version 2 (containers-registries.conf(5), containers-registries.conf.d(5)).

Which files count: the one that ``CONTAINERS_REGISTRIES_CONF`` names, else the user's, else the system's. Then the
``*.conf`` of the drop-in folders by name: the system's, then the user's; only the user's if the user's main file is
what was read. A later file's ``[[registry]]`` replaces an earlier one of the same prefix.

Read: ``prefix``, ``location``, ``insecure``, ``blocked``, ``mirror-by-digest-only`` and the mirrors. Short names always
are Docker Hub's, as docker has it, so ``unqualified-search-registries`` and ``[aliases]`` change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from img.errors import UsageError
from img_plugins.registry.hosts.model import Fallback, Location, Mirror, Pull, Rule
from img_plugins.registry.hosts.toml import Table, read

VERSION_1 = ("search", "insecure", "block")


def files(named: str, system: Path, user: Path | None) -> list[Path]:
    """The files in the order they are read. `named` comes from the environment; `system` is ``/etc/containers`` and
    `user` ``~/.config/containers``. Raises `UsageError` if the named file is not there."""
    if named and not Path(named).exists():
        raise UsageError(
            f"CONTAINERS_REGISTRIES_CONF names {named}, which is not there", hint="unset it, or make the file"
        )
    mine = user / "registries.conf" if user else None
    folders = [system / "registries.conf.d"]
    if named:
        first = Path(named)
    elif mine is not None and mine.exists():
        first, folders = mine, []
    else:
        first = system / "registries.conf"
    if user is not None:
        folders.append(user / "registries.conf.d")
    return [path for path in (first, *(file for folder in folders for file in _drop_ins(folder))) if path.exists()]


def _drop_ins(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(f"can't read {folder}: {error.strerror}", hint="check its owner and mode") from error
    yield from (folder / name for name in names)


def rules(paths: list[Path]) -> list[Rule]:
    """The rules of all files, one for each prefix. Raises `UsageError` naming the file and the key."""
    found: dict[str, Rule] = {}
    for path in paths:
        for rule in _file(path):
            found[rule.prefix] = rule
    return list(found.values())


def _file(path: Path) -> list[Rule]:
    document = read(path)
    if document is None:
        return []
    old = document.get("registries")
    if isinstance(old, dict) and any(name in old for name in VERSION_1):
        raise UsageError(
            f"{path} is in version 1 of its format, which is not read",
            hint='write [[registry]] tables: location = "HOST", insecure = true, blocked = true',
        )
    top = Table(document, path, "the file")
    top.texts("unqualified-search-registries")
    return [_rule(table, path) for table in top.tables("registry")]


def _rule(table: Table, path: Path) -> Rule:
    prefix, location = table.text("prefix"), table.text("location")
    if not prefix and not location:
        raise table.wrong("a [[registry]] has neither prefix nor location")
    if prefix and not location and not prefix.startswith("*."):
        location = prefix
    location = table.location("location", location) if location else ""
    by_digest = bool(table.flag("mirror-by-digest-only"))
    return Rule(
        prefix=table.location("prefix", prefix) if prefix else location,
        location=location,
        insecure=bool(table.flag("insecure")),
        blocked=bool(table.flag("blocked")),
        mirrors=tuple(_mirror(mirror, by_digest) for mirror in table.tables("mirror")),
        fallback=Fallback.ON_ERROR,
        file=str(path),
    )


def _mirror(table: Table, by_digest: bool) -> Mirror:
    if "pull-from-mirror" in table and by_digest:
        raise table.wrong("pull-from-mirror and mirror-by-digest-only exclude each other", hint="leave out the latter")
    location = Location.parse(table.location("location", table.text("location")))
    usual = Pull.DIGEST if by_digest else Pull.ALL
    pull = Pull(table.choice("pull-from-mirror", [p.value for p in Pull], usual.value))
    return Mirror(location, bool(table.flag("insecure")), pull)
