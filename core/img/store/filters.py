"""Filters of ``img du`` and ``img prune``: ``type=regular``, ``id~=^sha``, ``mutable=true,inuse=false``, ``until=24h``.

Terms of one filter, parted by commas, must all hold; of several filters one must. ``until`` stands above that: things used
since then are always left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Protocol

from img.errors import UsageError


class Thing(Protocol):
    """What filters ask of a record (`img.store.usage.Usage` is one)."""

    def field(self, name: str) -> str:
        """A field as text; booleans are ``true`` and ``false``."""

    @property
    def used(self) -> float: ...


FIELDS = ("id", "type", "description", "inuse", "mutable", "shared", "private", "reclaimable")
TYPES = ("regular", "exec.cachemount", "source.local", "source.git.checkout", "internal")

Test = Callable[[Thing], bool]

_TERM = re.compile(r"([a-z]+)\s*(==|=|!=|~=)\s*(.*)\Z", re.S)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_filters(words: Sequence[str], now: float | None = None) -> Test:
    """One test for all `words`; none of them lets everything through. Raises `UsageError`."""
    alternatives: list[list[Test]] = []
    until: list[Test] = []
    for word in words:
        terms: list[Test] = []
        for text in word.split(","):
            name, test = _term(text, time.time() if now is None else now)
            (until if name == "until" else terms).append(test)
        if terms:
            alternatives.append(terms)

    def holds(thing: Thing) -> bool:
        if not all(test(thing) for test in until):
            return False
        return not alternatives or any(all(test(thing) for test in terms) for terms in alternatives)

    return holds


def _term(text: str, now: float) -> tuple[str, Test]:
    found = _TERM.match(text.strip())
    if found is None:
        raise UsageError(f"the filter {text!r} is not FIELD=VALUE", hint=f"fields: {', '.join((*FIELDS, 'until'))}")
    name, operator, value = found[1], found[2], found[3].strip().strip('"')
    if name == "until":
        limit = now - _seconds(value)
        return name, lambda thing: thing.used <= limit
    if name not in FIELDS:
        near = get_close_matches(name, FIELDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"fields: {', '.join((*FIELDS, 'until'))}"
        raise UsageError(f"there is no field {name!r} to filter by", hint=hint)
    if name == "type" and operator != "~=" and value not in TYPES:
        raise UsageError(f"there is no type {value!r}", hint=f"types: {', '.join(TYPES)}")
    if operator == "~=":
        return name, _matching(name, value)
    if operator == "!=":
        return name, lambda thing: thing.field(name) != value
    if name == "id":
        return (
            name,
            lambda thing: (
                value in (thing.field(name), thing.field(name).removeprefix("sha256:"))
                or (
                    len(value) >= 6
                    and thing.field(name).removeprefix("sha256:").startswith(value.removeprefix("sha256:"))
                )
            ),
        )
    return name, lambda thing: thing.field(name) == value


def _matching(name: str, value: str) -> Test:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageError(f"{value!r} is not a regular expression: {error}") from error
    return lambda thing: pattern.search(thing.field(name)) is not None


def _seconds(text: str) -> float:
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"until={text} is not a span of time", hint="e.g. until=24h or until=1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
