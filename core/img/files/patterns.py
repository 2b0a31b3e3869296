"""Go's filepath.Match and Docker's ignore files, which are made of it.

An ignore file (moby/patternmatcher): one pattern a line; ``#`` in the first column is a comment; blanks around a
pattern go; a leading ``/`` goes; ``!`` brings back; the last pattern that matches a path or a folder above it decides;
``**`` is any number of folders, and ``**x`` (no slash, nothing else wild) is anything that ends in x. Nothing here touches a
file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple

from img.errors import FileError, Place


class Rule(NamedTuple):
    """One line of an ignore file: the cleaned pattern (with its ``!``), the line's number from 1, its text."""

    pattern: str
    line: int
    text: str


def read_ignore(data: bytes, file: str) -> tuple[str, ...]:
    """The patterns of an ignore file in order, cleaned. Raises `FileError` naming the line of a bad one."""
    return tuple(rule.pattern for rule in read_rules(data, file))


def read_rules(data: bytes, file: str) -> tuple[Rule, ...]:
    """`read_ignore`, with where each pattern stands."""
    rules: list[Rule] = []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#") or not line.strip():
            continue
        pattern = line.strip()
        inverted = pattern.startswith("!")
        body = pattern[1:].strip() if inverted else pattern
        if inverted and not body:
            raise FileError(
                f"{file}:{number}: a lone ! brings nothing back",
                hint="write the pattern to keep behind it, or remove the line",
                place=Place(file, number, 1, number, line),
            )
        body = posixpath.normpath(body) if body else ""
        if len(body) > 1:
            body = body.lstrip("/")
        try:
            _compile(body)
        except ValueError as error:
            raise FileError(
                f"{file}:{number}: {pattern!r} is not a pattern: {error}", place=Place(file, number, 1, number, line)
            ) from error
        rules.append(Rule(f"!{body}" if inverted else body, number, line.rstrip("\r")))
    return tuple(rules)


class Ignore:
    """Compiled ignore patterns. A walk hands each folder's `State` down to what is in it."""

    State = tuple[bool, ...]

    def __init__(self, patterns: Sequence[str]) -> None:
        self._rules = [(not p.startswith("!"), _compile(p.removeprefix("!"))) for p in patterns]
        self.start: tuple[bool, ...] = (False,) * len(self._rules)
        self.inverts = any(not excludes for excludes, _ in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def enter(self, above: tuple[bool, ...], path: str) -> tuple[bool, tuple[bool, ...]]:
        """Whether `path` is excluded, and the state for what is below it. `above` is its folder's state."""
        excluded = False
        state: list[bool] = []
        for matched, (excludes, rule) in zip(above, self._rules, strict=True):
            # as moby/patternmatcher: a pattern that would change nothing is not tried, and does not count further down
            hit = matched or (excludes is not excluded and rule.match(path) is not None)
            state.append(hit)
            if hit:
                excluded = excludes
        return excluded, tuple(state)

    def excludes(self, path: str) -> bool:
        """Whether `path` is excluded, by itself or by a folder above it."""
        excluded, state, here = False, self.start, ""
        for part in path.split("/"):
            here = f"{here}/{part}" if here else part
            excluded, state = self.enter(state, here)
        return excluded

    def decides(self, path: str) -> int | None:
        """The index of the pattern that decides about `path`; None if none matches."""
        state, here = self.start, ""
        for part in path.split("/"):
            here = f"{here}/{part}" if here else part
            _, state = self.enter(state, here)
        hits = [number for number, hit in enumerate(state) if hit]
        return hits[-1] if hits else None


def match(pattern: str, name: str) -> bool:
    """Go's filepath.Match: ``*`` and ``?`` do not match "/". Raises `FileError` for a bad pattern."""
    return glob(pattern).match(name) is not None


def glob(pattern: str) -> re.Pattern[str]:
    """The compiled form of `match`, without ``**``."""
    try:
        return re.compile(_translate(pattern, stars=False) + r"\Z", re.S)
    except ValueError as error:
        raise FileError(
            f"{pattern!r} is not a pattern: {error}", hint="write [[] for a bracket that is meant"
        ) from error


def is_wild(pattern: str) -> bool:
    """Whether the text has a wildcard in it."""
    return any(character in pattern for character in "*?[\\")


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(_translate(pattern, stars=True) + r"\Z", re.S)


def _translate(pattern: str, stars: bool) -> str:
    """A pattern as a regular expression. Raises `ValueError`."""
    out: list[str] = []
    at, end = 0, len(pattern)
    if stars and pattern.startswith("**") and not pattern.startswith("**/") and not is_wild(pattern[2:]):
        return ".*" + re.escape(pattern[2:])
    while at < end:
        character = pattern[at]
        at += 1
        if character == "*":
            if stars and pattern.startswith("*", at):
                at += 1
                if pattern.startswith("/", at):
                    at += 1
                out.append(".*" if at >= end else "(?:.*/)?")
            else:
                out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[":
            at = _class(pattern, at, out, "" if stars else "(?!/)")
        elif character == "\\":
            if at >= end:
                raise ValueError("it ends with a backslash")
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(character))
    return "".join(out)


def _class(pattern: str, at: int, out: list[str], guard: str) -> int:
    """Translate ``[…]`` from behind its bracket; returns where it ends. Ranges are lo-hi, ``^`` negates. `guard` keeps
    "/" out, as filepath.Match does and ignore files do not."""
    negated = pattern.startswith("^", at)
    at += negated
    items: list[str] = []
    while True:
        if at >= len(pattern):
            raise ValueError("a [ is not closed")
        if pattern[at] == "]" and items:
            break
        low, at = _character(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _character(pattern, at + 1)
        if low <= high:
            items.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            items.append("")
    body = "".join(items)
    if body:
        out.append(f"{guard}[{'^' if negated else ''}{body}]")
    else:
        out.append(f"{guard}." if negated else "(?!)")
    return at + 1


def _character(pattern: str, at: int) -> tuple[str, int]:
    if at < len(pattern) and pattern[at] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError("a [ is not closed")
    if pattern[at] in "-]" and pattern[at - 1] != "\\":
        raise ValueError(f"{pattern[at]!r} stands where a character is expected")
    return pattern[at], at + 1
