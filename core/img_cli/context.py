"""What the environment says: the store's folder, settings, disabled plugins, files with credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import BinaryIO

from img.ambient import surroundings
from img.errors import UsageError
from img.plugin.registry import OURS, Registry
from img.session import Session
from img.settings import default_root

state: dict[str, str] = {}
"""Global options of this command line: ``root`` and ``plugins``, set before the command runs."""


STACKED = ("auto", "native", "overlayfs", "fuse-overlayfs")
"""What ``--backend`` before the command took in the img of old: how layers are stacked."""


def check_stacking(name: str) -> None:
    """Take it, and say that it does nothing. Raises `UsageError`."""
    if name not in STACKED:
        raise UsageError(f"{name} is not a valid snapshots backend", hint="img build --backend says who runs steps")
    if name != "auto":
        print(f"warning: how layers are stacked is found out: --backend {name} does nothing here", file=sys.stderr)


def open_session(extra: Mapping[str, str] | None = None) -> Session:
    """A session as the environment and the global options want it."""
    with redirect_stdout(sys.stderr):  # plugins that print while they are imported are not the command's answer
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
    found = surroundings(registry.settings, os.environ)
    told = {name: value for name, value in extra.items() if value}
    return {**found, **told, "given": " ".join(sorted({*found["given"].split(), *told}))}
