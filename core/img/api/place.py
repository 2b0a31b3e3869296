"""Sessions as calls of the API open them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from img import events
from img.ambient import surroundings
from img.api.options import Place
from img.errors import UsageError
from img.ir import checked
from img.plugin.registry import Registry
from img.session import Session
from img.settings import default_root

HUB = ("index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/")


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings that the command line would use with `environ` (default: this process's): ``IMG_…`` variables, the settings
    file, where credentials of docker and podman are, proxies. Raises `UsageError` for a wrong settings file."""
    given = os.environ if environ is None else environ
    root = default_root(given)
    return surroundings(Registry.discover(cache=root if root.is_dir() else None).settings, given)


def open_session(given: Mapping[str, Any]) -> Session:
    """A session of the store, the settings and the credentials that a call names. Raises `UsageError`."""
    root = given.get("root")
    folder = Path(checked.path(root, "root")) if root else default_root(os.environ)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"the store {folder} is no folder", hint="root names the folder that the store is in")
    settings = checked.variables(given.get("settings") or {}, "settings")
    logins = _logins(given.get("credentials") or {})
    without = checked.texts(given.get("disable_plugins") or (), "disable_plugins")
    return Session(folder, settings, Registry.discover(frozenset(without), folder), logins)


def tell_broken(session: Session) -> None:
    """Say which plugins are left out, and why."""
    for name, reason in session.registry.broken.items():
        session.engine.emit(events.Warning(f"the plugin {name} is left out: {reason}", None, time.monotonic()))


def _logins(given: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    if not isinstance(given, Mapping):
        raise UsageError(f"credentials is a mapping by host, not {checked.kind(given)}")
    found: dict[str, tuple[str, str]] = {}
    for host, login in given.items():
        if isinstance(login, str) or not isinstance(login, tuple | list) or [type(v) for v in login] != [str, str]:
            raise UsageError(f"the credentials for {host!r} are not (user, password)")
        name = checked.text(host, "a host in credentials")
        for other in HUB:
            if name == other or name.startswith(f"{other}/"):
                name = "docker.io" + name.removeprefix(other)
        found[name] = (login[0], login[1])
    return found


__all__ = ["Place", "environment", "open_session", "tell_broken"]
