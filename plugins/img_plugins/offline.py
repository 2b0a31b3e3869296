"""The setting ``offline``: whether anybody may be asked at all."""

from __future__ import annotations

from collections.abc import Mapping

OFFLINE = "leave out --offline (or IMG_OFFLINE), or bring what is missing into the store first: img pull, img load"
"""What to do when something is missing."""


def is_offline(settings: Mapping[str, str]) -> bool:
    """Whether nobody may be asked."""
    return settings.get("offline", "").lower() in ("true", "1")
