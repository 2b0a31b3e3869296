"""Annotations of an output, from its attributes.

``annotation.KEY`` is of each manifest; ``annotation-manifest``, ``annotation-manifest-descriptor``, ``annotation-index``
and ``annotation-index-descriptor`` name other places, and a platform may stand in brackets behind the first two:
``annotation-manifest[linux/arm64].KEY`` (the names are BuildKit's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from img.errors import UsageError
from img.oci.platform import Platform

_NAME = re.compile(r"annotation(?:-(manifest|manifest-descriptor|index|index-descriptor))?(?:\[([^\]]+)\])?\.(.+)")


class Annotations(NamedTuple):
    """Annotations as (place, platform or empty, key, value)."""

    rows: tuple[tuple[str, str, str, str], ...]

    @classmethod
    def of(cls, attrs: Mapping[str, str]) -> Annotations:
        """Those in an output's attributes. Raises `UsageError` for a name that is none."""
        rows: list[tuple[str, str, str, str]] = []
        for name, value in attrs.items():
            if not is_annotation(name):
                continue
            match = _NAME.fullmatch(name)
            if match is None or (match[2] and (match[1] or "manifest").startswith("index")):
                raise UsageError(
                    f"{name!r} is no annotation", hint="annotation[-manifest|-index|…][[PLATFORM]].KEY=VALUE"
                )
            platform = str(Platform.parse(match[2])) if match[2] else ""
            rows.append((match[1] or "manifest", platform, match[3], value))
        return cls(tuple(rows))

    def at(self, place: str, platform: str = "") -> dict[str, str]:
        """Keys and values at `place`; those for one platform win over those for all."""
        fitting = [row for row in self.rows if row[0] == place and row[1] in ("", platform)]
        return {row[2]: row[3] for row in sorted(fitting, key=lambda row: row[1])}


def is_annotation(name: str) -> bool:
    """Whether an attribute's name is meant for an annotation."""
    return name.startswith(("annotation.", "annotation-", "annotation["))
