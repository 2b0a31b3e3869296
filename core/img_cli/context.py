"""What the environment says: the store's folder, settings, disabled plugins, files with credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from img.plugin.registry import OURS, Registry
from img.session import Session
from img.settings import default_root
from img_cli.config import values

PROXIES = ("http_proxy", "https_proxy", "no_proxy")

state: dict[str, str] = {}
"""Global options of this command line: ``root`` and ``plugins``, set before the command runs."""


def open_session(extra: Mapping[str, str] | None = None) -> Session:
    """A session as the environment and the global options want it."""
    registry = Registry.discover(disabled(), root())
    for name, reason in registry.broken.items():
        print(f"warning: the plugin {name} is left out: {reason}", file=sys.stderr)
    return Session(root(), settings(registry, extra or {}), registry)


def root() -> Path:
    """The store's folder."""
    return Path(state["root"]) if state.get("root") else default_root(os.environ)


def standard_input(*words: str) -> BinaryIO | None:
    """Standard input's bytes if one of `words` is ``-``, and there is one."""
    return sys.stdin.buffer if "-" in words and sys.stdin is not None else None


def disabled() -> frozenset[str]:
    """Plugins that are to be left out: ``IMG_DISABLE_PLUGINS``, and with ``--no-plugins`` all that are not img's own."""
    names = {name.strip() for name in os.environ.get("IMG_DISABLE_PLUGINS", "").split(",") if name.strip()}
    if state.get("plugins") == "none":
        import importlib_metadata

        points = importlib_metadata.entry_points(group="img")
        names |= {point.dist.name for point in points if point.dist and point.dist.name != OURS}
    return frozenset(names)


def settings(registry: Registry, extra: Mapping[str, str]) -> dict[str, str]:
    """Every setting that a plugin declares, from wherever it has its value, and `extra` over them."""
    known = values(registry.settings, os.environ)
    found = {value.setting.name: value.value for value in known}
    given = {value.setting.name for value in known if value.origin} | {name for name, value in extra.items() if value}
    found["given"] = " ".join(sorted(given))
    found["auth_file"] = ":".join(_auth_files())
    found["path"] = os.environ.get("PATH", "")
    found.update(_registries())
    found.update({name: value for name, value in extra.items() if value})
    return found


def _registries() -> dict[str, str]:
    """What the plugins for registries want to know of the environment: configuration files and proxies."""
    get = os.environ.get
    home = get("HOME", "")
    return {
        "home": home,
        "config_home": get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""),
        "docker_config": get("DOCKER_CONFIG") or (f"{home}/.docker" if home else ""),
        "registry_auth_file": get("REGISTRY_AUTH_FILE", ""),
        "registries_conf": get("CONTAINERS_REGISTRIES_CONF", ""),
        "buildkit_host": get("BUILDKIT_HOST", ""),
        "docker_host": get("DOCKER_HOST", ""),
        **{name: _proxy(name) for name in PROXIES},
    }


def _proxy(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""


def _auth_files() -> list[str]:
    home = os.environ.get("HOME", "")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    config = os.environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    files = [os.environ.get("REGISTRY_AUTH_FILE", "")]
    files.append(f"{runtime}/containers/auth.json" if runtime else "")
    files.append(f"{config}/config.json" if config else "")
    return [file for file in files if file]
