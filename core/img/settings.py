"""Sizes and times as words and back, and where things are, computed from an environment that the caller hands in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from img.errors import StoreError, UsageError


def size_of(text: str, name: str) -> int:
    """Bytes of a size like ``64m`` (powers of 1024, as docker has it); 0 for none. Raises `UsageError` naming `name`."""
    if not text:
        return 0
    import re

    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)i?b?", text.lower())
    if match is None:
        raise UsageError(f"invalid {name} {text!r}", hint="a number with b, k, m or g behind it, e.g. 128m")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def human(count: float) -> str:
    """Bytes for people, in powers of 1000 as docker shows them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g}TB"


def seconds_of(text: str, name: str) -> float:
    """Seconds of a duration like ``1h30m`` or ``90`` (seconds); 0 for none. Raises `UsageError` naming `name`."""
    if text in ("", "0"):
        return 0
    import re

    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        total = float(text)
    else:
        units = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
        parts = re.findall(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise UsageError(f"invalid {name} {text!r}", hint="a duration, e.g. 90s, 10m or 1h30m")
        total = sum(float(number) * units[unit] for number, unit in parts)
    if not 0 < total < 1e9:
        raise UsageError(f"invalid {name} {text!r}", hint="a duration of more than nothing, e.g. 90s or 10m")
    return round(total, 9)


def default_root(environ: Mapping[str, str]) -> Path:
    """The store's folder: ``$IMG_ROOT``, else ``$XDG_DATA_HOME/img``, else ``~/.local/share/img``. Raises `StoreError` for a
    user without any."""
    if root := environ.get("IMG_ROOT"):
        return Path(root)
    if data := environ.get("XDG_DATA_HOME"):
        return Path(data.split(":")[0]) / "img"
    try:
        home = environ.get("HOME") or Path.home()
    except RuntimeError:
        raise StoreError(
            f"there is no folder for the store: HOME is not set, and the user {os.getuid()} is not in /etc/passwd",
            hint="set IMG_ROOT to a folder that this user may write to",
        ) from None
    return Path(home) / ".local" / "share" / "img"
