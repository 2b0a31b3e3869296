"""Whether there are caches of the type that was asked for. Imports nothing: a cached build asks, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from img.errors import UsageError

PLANNED = ("gha", "azblob")
"""Types of BuildKit's that img does not have."""


def check_kind(host: Any, attrs: Mapping[str, str]) -> None:
    """Raises `UsageError` for an unknown ``type``."""
    kind, known = attrs.get("type", ""), host.registry.names("cache")
    if kind not in known:
        why = f"caches of type={kind} are not there yet" if kind in PLANNED else f"there is no cache type {kind!r}"
        raise UsageError(why, hint=f"types: {', '.join(known)}")
