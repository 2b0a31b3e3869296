"""Expanding the words of instructions, with errors that have a place; durations, ports and key=value lists."""

from __future__ import annotations

import re
from collections.abc import Mapping

from img.errors import FrontendError
from img_frontends.dockerfile.expand import ExpandError, Expansion, expand, expansion
from img_frontends.dockerfile.tree import Instruction

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class Words:
    """Expands with the variables of one instruction."""

    def __init__(self, instruction: Instruction, variables: Mapping[str, str], escape: str) -> None:
        self._instruction = instruction
        self._variables = variables
        self._escape = escape
        self.unset: dict[str, int] = {}
        """Names that were looked up and are not set, and the offset of the word that asked first."""

    def one(self, word: str, offset: int = 0, *, raw: bool = False) -> str:
        """One word. Raises `FrontendError` where it stands."""
        return self._expansion(word, offset, raw).text

    def several(self, word: str, offset: int = 0) -> list[str]:
        """The words that one becomes: variables may hold several. For EXPOSE. Raises `FrontendError`."""
        return list(self._expansion(word, offset, False).words)

    def shown(self, text: str) -> str:
        """A text for titles: variables that are not set stay, and what can't be expanded stays as it is."""
        try:
            return expand(text, self._variables, self._escape, keep_unset=True)
        except ExpandError:
            return text

    def _expansion(self, word: str, offset: int, raw: bool) -> Expansion:
        try:
            found = expansion(word, self._variables, self._escape, raw=raw)
        except ExpandError as error:
            place = self._instruction.line.place(offset + error.offset)
            raise FrontendError(f"{self._instruction.keyword}: {error}", place=place) from None
        for name in found.unset:
            self.unset.setdefault(name, offset)
        return found

    def all(self) -> list[str]:
        """Every word of the instruction."""
        return [self.one(word.text, word.offset) for word in self._instruction.words]

    def flag(self, name: str) -> str:
        """A flag's value; empty if it is not there."""
        for flag in self._instruction.flags:
            if flag.name == name and flag.value:
                return self.one(flag.value, flag.offset)
        return ""


def switch(instruction: Instruction, name: str, default: bool = False) -> bool:
    """A flag that is on or off."""
    for flag in instruction.flags:
        if flag.name == name:
            return flag.value is None or flag.value.lower() == "true"
    return default


def duration(text: str) -> int | None:
    """Nanoseconds of a Go duration such as ``1m30s``; None if it is none."""
    if text == "0":
        return 0
    total, at = 0.0, 0
    while at < len(text):
        match = _DURATION.match(text, at)
        if match is None:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    return round(total) if text else None


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: ``1m30s``, ``500ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanoseconds >= size:
                return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    seconds = nanoseconds / 10**9
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours or minutes:
        text = f"{int(minutes)}m{text}"
    return f"{int(hours)}h{text}" if hours else text


def ports(text: str) -> list[str] | None:
    """``8000-8002/udp`` as one entry for each port; None if it is no port."""
    numbers, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    numbers = numbers.rpartition(":")[2]
    first, dash, last = numbers.partition("-")
    if protocol not in ("tcp", "udp", "sctp") or not first.isdigit() or (dash and not last.isdigit()):
        return None
    low, high = int(first), int(last) if dash else int(first)
    if not 0 < low <= high <= 65535:
        return None
    return [f"{port}/{protocol}" for port in range(low, high + 1)]


def quoted(values: list[str] | tuple[str, ...]) -> str:
    """A list as Go's ``%q`` prints it, which is how histories show commands."""
    import json

    return "[" + " ".join(json.dumps(value, ensure_ascii=False) for value in values) + "]"
