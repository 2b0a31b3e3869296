"""HEALTHCHECK: its options and its command, as they stand in the image's configuration."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from img.errors import FrontendError
from img_frontends.dockerfile.tree import Flag, Instruction
from img_frontends.dockerfile.words import duration, go_duration, quoted

TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
MILLISECOND = 10**6


class Health(NamedTuple):
    """What is checked, and how: `times` are nanoseconds by the names of the configuration, zeros left out."""

    test: list[str]
    times: dict[str, int]
    retries: int

    def config(self) -> dict[str, Any]:
        """The value of ``Healthcheck`` in the configuration."""
        found: dict[str, Any] = {"Test": self.test, **self.times}
        if self.retries:
            found["Retries"] = self.retries
        return found

    def told(self) -> str:
        """As the history shows it."""
        times = " ".join(f'"{go_duration(self.times.get(key, 0))}"' for key in TIMES.values())
        return f"&{{{quoted(self.test)} {times} {_rune(self.retries)}}}"


def _rune(number: int) -> str:
    """A number as Go's %q shows it: the character of that number."""
    if number > 0x10FFFF:
        return "'\ufffd'"
    named = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 39: "'", 92: "\\"}
    if number in named:
        return f"'\\{named[number]}'"
    if number < 32 or number == 127:
        return f"'\\x{number:02x}'"
    return f"'{chr(number)}'"


def read_health(i: Instruction) -> Health:
    """The check that a HEALTHCHECK describes. Raises `FrontendError`."""
    words = i.text.split(None, 1)
    kind, rest = words[0].upper() if words else "", words[1].strip() if len(words) > 1 else ""
    if kind == "NONE":
        if rest:
            raise FrontendError("HEALTHCHECK NONE takes no arguments", place=i.line.whole)
        return Health(["NONE"], {}, 0)
    if kind != "CMD":
        hint = "HEALTHCHECK NONE, or HEALTHCHECK [options] CMD command"
        shown = words[0] if words else ""
        raise FrontendError(f"unknown type {shown!r} of HEALTHCHECK", hint=hint, place=i.line.whole)
    test = _test(rest)
    if not rest or len(test) == 1:
        raise FrontendError("HEALTHCHECK CMD has no command", hint="write it behind CMD", place=i.line.whole)
    times = {TIMES[flag.name]: _time(i, flag) for flag in i.flags if flag.name in TIMES}
    retries = next((_retries(i, flag) for flag in i.flags if flag.name == "retries"), 0)
    return Health(test, {key: value for key, value in times.items() if value}, retries)


def _time(i: Instruction, flag: Flag) -> int:
    text = flag.value or ""
    nanoseconds = duration(text)
    place = i.line.place(flag.offset)
    if nanoseconds is None:
        raise FrontendError(f"--{flag.name}={text} is no duration", hint="e.g. 30s, 1m30s or 500ms", place=place)
    if 0 < nanoseconds < MILLISECOND:
        raise FrontendError(f"--{flag.name}={text} is less than 1ms", hint="0 stands for the default", place=place)
    return nanoseconds


def _retries(i: Instruction, flag: Flag) -> int:
    text = flag.value or ""
    if not (text.isascii() and text.isdigit() and int(text) < 2**31):
        place = i.line.place(flag.offset)
        raise FrontendError(f"--retries={text} is no number", hint="0 or more; 0 stands for the default", place=place)
    return int(text)


def _test(rest: str) -> list[str]:
    if rest.startswith("["):
        try:
            argv = json.loads(rest)
        except ValueError:
            argv = None
        if isinstance(argv, list) and all(isinstance(item, str) for item in argv):
            return ["CMD", *argv]
    return ["CMD-SHELL", rest]
