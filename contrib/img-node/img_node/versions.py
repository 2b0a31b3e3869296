"""Which major version of Node.js fits a range, as npm's semver has ranges."""

from __future__ import annotations

import re

MAJORS = (24, 22, 20, 18)
"""Long-term versions that have an image, newest first."""
LAST = 10**6
"""Stands for the newest minor or patch version of all."""

Version = tuple[int, int, int]

_PART = re.compile(r"(?P<mark>[<>]=?|[~^=])?\s*v?(?P<numbers>\d+(?:\.(?:\d+|[xX*]))*|[xX*])(?:[-+][0-9A-Za-z.+-]+)?\Z")


def newest(text: str) -> int | None:
    """The newest of `MAJORS` of which some version is in the range; None if none is. Raises `ValueError` for text that is
    no range."""
    ranges = [_range(one) for one in text.split("||")]
    for major in MAJORS:
        for low, high in ranges:
            if low <= (major, LAST, LAST) and (major, 0, 0) < high:
                return major
    return None


def _range(text: str) -> tuple[Version, Version]:
    """The first version that fits, and the first above that does not."""
    low, high = (0, 0, 0), (LAST, 0, 0)
    text = re.sub(r"(\S+)\s+-\s+(\S+)", r">=\1 <=\2", text.strip())
    text = re.sub(r"([<>]=?|[~^=])\s+", r"\1", text)
    for part in text.split():
        match = _PART.match(part)
        if match is None:
            raise ValueError(part)
        numbers = [int(number) for number in match["numbers"].split(".") if number not in ("x", "X", "*")]
        least, above = _bounds(match["mark"] or "", numbers)
        low, high = max(low, least), min(high, above)
    return low, high


def _bounds(mark: str, numbers: list[int]) -> tuple[Version, Version]:
    if not numbers:
        return (0, 0, 0), (LAST, 0, 0)
    major, minor, patch = (*numbers, 0, 0)[:3]
    exact = (major, minor, patch)
    after = [(major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1)][min(len(numbers), 3) - 1]
    if mark == ">=":
        return exact, (LAST, 0, 0)
    if mark == ">":
        return after, (LAST, 0, 0)
    if mark == "<":
        return (0, 0, 0), exact
    if mark == "<=":
        return (0, 0, 0), after
    if mark == "^":
        return exact, (major + 1, 0, 0)
    if mark == "~":
        return exact, ((major + 1, 0, 0) if len(numbers) == 1 else (major, minor + 1, 0))
    return exact, after
