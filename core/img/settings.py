"""Where things are, computed from an environment that the caller hands in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def default_root(environ: Mapping[str, str]) -> Path:
    """The store's folder: ``$IMG_ROOT``, else ``$XDG_DATA_HOME/img``, else ``~/.local/share/img``."""
    if root := environ.get("IMG_ROOT"):
        return Path(root)
    if data := environ.get("XDG_DATA_HOME"):
        return Path(data.split(":")[0]) / "img"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "share" / "img"
