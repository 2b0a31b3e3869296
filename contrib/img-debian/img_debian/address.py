"""``deb://SUITE?option=value&…``: what an address asks for.

    include     packages beside the variant's own, comma-separated; NAME, NAME=VERSION or NAME/SUITE
    variant     essential, apt, minbase (the default), buildd or standard: as mmdebstrap has them
    components  main (the default), contrib, non-free, non-free-firmware
    pockets     updates,security (the default for releases), or none
    date        the archive as it was at a time of snapshot.debian.org: 20240101T000000Z
    mirror      where packages come from, also for what the image installs later
    security    the same for the pocket security

Addresses that mean the same are one: `Wanted.canonical` is what the graph and the keys hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from img.errors import UsageError

VARIANTS = ("essential", "apt", "minbase", "buildd", "standard")
COMPONENTS = ("main", "contrib", "non-free", "non-free-firmware")
POCKETS = ("updates", "security")
ROLLING = ("sid", "unstable", "testing", "experimental", "rc-buggy")
"""Suites without pockets."""
SNAPSHOT = "http://snapshot.debian.org/archive"
EXAMPLE = "e.g. deb://bookworm?include=ca-certificates,python3"

_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,63}\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+|/[a-z0-9.-]+)?\Z")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
_URL = re.compile(r"https?://[A-Za-z0-9.:_~%/+\[\]-]+\Z")


class Wanted(NamedTuple):
    """An address, read and checked. `pockets` of None are the suite's usual ones."""

    suite: str
    include: tuple[str, ...] = ()
    variant: str = "minbase"
    components: tuple[str, ...] = ("main",)
    pockets: tuple[str, ...] = ()
    date: str = ""
    mirror: str = ""
    security: str = ""

    @property
    def canonical(self) -> str:
        """The same address, written in the one way."""
        plain = Wanted(self.suite, pockets=_usual(self.suite))
        said = {
            "include": ",".join(self.include),
            "variant": self.variant if self.variant != plain.variant else "",
            "components": ",".join(self.components) if self.components != plain.components else "",
            "pockets": (",".join(self.pockets) or "none") if self.pockets != plain.pockets else "",
            "date": self.date,
            "mirror": self.mirror,
            "security": self.security,
        }
        query = "&".join(f"{name}={value}" for name, value in said.items() if value)
        return f"{self.suite}?{query}" if query else self.suite

    def archives(self, mirror: str, security: str) -> list[tuple[str, str]]:
        """(URL, suite) of each part of the archive that the image is made of; `mirror` and `security` are used where the
        address names none."""
        if self.date:
            mirror, security = f"{SNAPSHOT}/debian/{self.date}", f"{SNAPSHOT}/debian-security/{self.date}"
        mirror, security = self.mirror or mirror, self.security or security
        suites = {"updates": (mirror, f"{self.suite}-updates"), "security": (security, f"{self.suite}-security")}
        return [(mirror, self.suite), *(suites[pocket] for pocket in self.pockets)]


def parse(text: str) -> Wanted:
    """Read what follows ``deb://``. Raises `UsageError` naming the part that is wrong."""
    suite, _, query = text.partition("?")
    if not _SUITE.match(suite):
        raise UsageError(f"deb://{text} names no suite of Debian", hint=EXAMPLE)
    found: dict[str, str] = {}
    for name, value in _pairs(text, query):
        if name not in _READ:
            raise UsageError(f"deb://{text}: there is no option {name!r}", hint=f"options: {', '.join(_READ)}")
        if name in found:
            raise UsageError(f"deb://{text}: {name} is given twice", hint="join the values with commas")
        found[name] = value
    read = {name: _READ[name](value) for name, value in found.items()}
    if found.get("date") and found.get("mirror"):
        raise UsageError(f"deb://{text}: date and mirror exclude each other", hint="a date names the snapshot archive")
    return Wanted(suite, **{"pockets": _usual(suite), **read})  # type: ignore[arg-type]


def _usual(suite: str) -> tuple[str, ...]:
    return () if suite in ROLLING else POCKETS


def _pairs(text: str, query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise UsageError(f"deb://{text}: options are written name=value and joined with &", hint=EXAMPLE) from None


def _packages(value: str) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        if not _PACKAGE.match(name):
            raise UsageError(f"deb://: {name!r} is not the name of a package", hint=EXAMPLE)
    return tuple(sorted(set(names)))


def _some_of(what: str, known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(value: str) -> tuple[str, ...]:
        given = () if value == "none" else tuple(value.split(","))
        for name in given:
            if name not in known:
                raise UsageError(f"deb://: {what} can't be {name!r}", hint=f"{what}: {', '.join(known)}")
        return tuple(name for name in known if name in given)

    return read


def _variant(value: str) -> str:
    if value not in VARIANTS:
        raise UsageError(f"deb://: variant can't be {value!r}", hint=f"variants: {', '.join(VARIANTS)}")
    return value


def _date(value: str) -> str:
    if not _DATE.match(value):
        raise UsageError(f"deb://: {value!r} is no time of the snapshot archive", hint="like 20240101T000000Z")
    return value


def url(value: str, what: str = "mirror") -> str:
    """A mirror's URL without a slash at its end. Raises `UsageError` for one with a user or a password in it: it would be in
    the image's sources, in keys and in logs."""
    if urlsplit(value).username is not None or "@" in value:
        raise UsageError(f"a {what} with a user or a password in it can't be used", hint="name one that needs none")
    if not _URL.match(value):
        raise UsageError(f"{value!r} is not the URL of a {what}", hint="like http://deb.debian.org/debian")
    return value.rstrip("/")


_READ: dict[str, Callable[[str], object]] = {
    "include": _packages,
    "variant": _variant,
    "components": _some_of("components", COMPONENTS),
    "pockets": _some_of("pockets", POCKETS),
    "date": _date,
    "mirror": url,
    "security": lambda value: url(value, "security mirror"),
}
