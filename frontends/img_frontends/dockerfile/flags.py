"""The flags in front of an instruction's arguments, and the JSON form of those: what reader and parser must agree on.

A flag is a word that begins with ``--``. Quotes hold blanks together and go; ``\\`` (never the file's own escape
character) makes the next character plain, in either kind of quotes. A bare ``--`` ends the flags.
"""

from __future__ import annotations

import json
import re

from img_frontends.dockerfile.space import BLANK_CLASS, BLANKS

FLAGS = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
}
SWITCHES = ("link", "parents", "keep-git-dir", "unpack")
REPEATED = ("mount", "device", "exclude")
SINCE = {
    ("RUN", "mount"): "1.2",
    ("RUN", "network"): "1.3",
    ("RUN", "security"): "1.20",
    ("RUN", "device"): "1.14-labs",
    ("COPY", "chmod"): "1.2",
    ("COPY", "link"): "1.4",
    ("COPY", "parents"): "1.20",
    ("COPY", "exclude"): "1.19",
    ("ADD", "keep-git-dir"): "1.1",
    ("ADD", "checksum"): "1.6",
    ("ADD", "chmod"): "1.2",
    ("ADD", "link"): "1.4",
    ("ADD", "unpack"): "1.17",
    ("ADD", "exclude"): "1.19",
}
"""The version of ``docker/dockerfile`` that added a flag."""

_FLAG = rf"""--(?:[^{BLANK_CLASS}"'\\]|\\[\s\S]|\\\Z|"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*')*(?=[{BLANK_CLASS}]|\Z)"""
_WORD = re.compile(rf"{_FLAG}[{BLANK_CLASS}]*")
_SURROGATES = re.compile("[\ud800-\udfff]")


class NotStrings(ValueError):
    """A JSON array, but not only of strings."""


def skip(text: str) -> int:
    """Where the arguments begin behind the flags."""
    at = 0
    while text.startswith("--", at):
        match = _WORD.match(text, at)
        if match is None:
            return at
        ended = text[at : match.end()].rstrip(BLANKS) == "--"
        at = match.end()
        if ended:
            break
    return at


def unquoted(text: str) -> str:
    """A flag without its quotes."""
    if "\\" not in text and '"' not in text and "'" not in text:
        return text
    out: list[str] = []
    quote, at = "", 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\":
            out.append(text[at : at + 1])
            at += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            out.append(character)
    return "".join(out)


def strings(text: str) -> tuple[str, ...] | None:
    """The members of a JSON array of strings; None if it is no JSON array. Raises `NotStrings`.

    Half a surrogate pair becomes U+FFFD, and so do bytes that are no UTF-8: that is what Go reads.
    """
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise NotStrings
    return tuple(_SURROGATES.sub("\ufffd", item) for item in found)


def is_exec(text: str) -> bool:
    """Whether arguments are in JSON form (or are meant to be, and wrong)."""
    try:
        return strings(text) is not None
    except NotStrings:
        return True


def _refuse(name: str) -> None:
    raise ValueError(name)
