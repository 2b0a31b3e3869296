"""Where things are, computed from an environment that the caller hands in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from img.errors import UsageError


def size_of(text: str, name: str) -> int:
    """Bytes of a size like ``64m`` (powers of 1024, as docker has it); 0 for none. Raises `UsageError` naming `name`."""
    if not text:
        return 0
    import re

    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)i?b?", text.lower())
    if match is None:
        raise UsageError(f"invalid {name} {text!r}", hint="a number with b, k, m or g behind it, e.g. 128m")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def default_root(environ: Mapping[str, str]) -> Path:
    """The store's folder: ``$IMG_ROOT``, else ``$XDG_DATA_HOME/img``, else ``~/.local/share/img``."""
    if root := environ.get("IMG_ROOT"):
        return Path(root)
    if data := environ.get("XDG_DATA_HOME"):
        return Path(data.split(":")[0]) / "img"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "share" / "img"
