"""Our own ``registries.toml``: ``[registry."PREFIX"]`` says where names lead, ``[host."HOST[:PORT]"]`` how a server is
spoken to. docs/reference/registries.md has every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from img.errors import UsageError
from img_plugins.registry.hosts.model import Fallback, HostSettings, Location, Mirror, Pull, Rule
from img_plugins.registry.hosts.toml import Table, read

REGISTRY = ("location", "blocked", "mirrors", "fallback")
MIRROR = ("location", "pull")
HOST = ("insecure", "plain-http", "ca", "client-cert", "client-key", "proxy")


class Own(NamedTuple):
    """What the files say: rules by prefix, settings by host, and which files they were."""

    rules: dict[str, Rule]
    hosts: dict[str, HostSettings]
    files: tuple[str, ...]


def load(paths: Sequence[Path]) -> Own:
    """Join the files; what an earlier one says of a prefix or host stands. Raises `UsageError`."""
    rules: dict[str, Rule] = {}
    hosts: dict[str, HostSettings] = {}
    found: list[str] = []
    for path in paths:
        document = read(path)
        if document is None:
            continue
        found.append(str(path))
        top = Table(document, path, "the file")
        top.only(("registry", "host"))
        for prefix, table in top.named("registry").items():
            rules.setdefault(table.location("prefix", prefix), _rule(prefix, table, path))
        for host, table in top.named("host").items():
            hosts.setdefault(table.location("host", host), _host(table, path))
    return Own(rules, hosts, tuple(found))


def _rule(prefix: str, table: Table, path: Path) -> Rule:
    table.only(REGISTRY)
    location = table.text("location")
    mirrors = tuple(_mirror(item, table, path) for item in table.items("mirrors"))
    return Rule(
        prefix=prefix.rstrip("/"),
        location=table.location("location", location) if location else "",
        blocked=bool(table.flag("blocked")),
        mirrors=mirrors,
        fallback=Fallback(table.choice("fallback", [f.value for f in Fallback], Fallback.ON_404.value)),
        file=str(path),
    )


def _mirror(item: Any, table: Table, path: Path) -> Mirror:
    if isinstance(item, str):
        return Mirror(Location.parse(table.location("mirrors", item)))
    mirror = Table(item, path, "a mirror")
    mirror.only(MIRROR)
    pull = Pull(mirror.choice("pull", [p.value for p in Pull], Pull.ALL.value))
    return Mirror(Location.parse(mirror.location("location", mirror.text("location"))), pull=pull)


def _host(table: Table, path: Path) -> HostSettings:
    table.only(HOST)
    cert, key = table.text("client-cert"), table.text("client-key")
    if bool(cert) != bool(key):
        raise table.wrong("client-cert and client-key belong together", hint="name both, or neither")
    found = HostSettings(
        insecure=table.flag("insecure"),
        plain_http=table.flag("plain-http"),
        ca=tuple(_near(path, name) for name in table.texts("ca")),
        cert=_near(path, cert),
        key=_near(path, key),
        proxy=table.text("proxy") if "proxy" in table else None,
        file=str(path),
    )
    if found.proxy and urlsplit(found.proxy).scheme not in ("http", "https"):
        raise table.wrong(f"proxy {_shown(found.proxy)!r} is not an http:// or https:// URL")
    return found


def _shown(url: str) -> str:
    """A URL without what may be a password in it."""
    head, at, tail = url.rpartition("@")
    return f"…@{tail}" if at else head or tail


def _near(path: Path, name: str) -> str:
    """A file name in `path`, relative to the folder it lies in. Raises `UsageError` if there is no such file."""
    if not name:
        return ""
    found = path.parent / Path(name)
    if not found.is_file():
        raise UsageError(f"{path} names {name}, which is not a file", hint="names are relative to the file's folder")
    return str(found)
