"""What the archive says of a suite right now: the signed InRelease of each of its parts.

It names the digests of the package lists, and those name the packages. So the digest of an InRelease stands for all that
can be installed from it, and its Date for when that was. Who signed it is checked by apt, when packages are installed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from img.digest import sha256
from img.errors import SourceError
from img.ir.nodes import Source
from img.ports import Folder, Host

LONGEST = 8 << 20
"""Bytes of an InRelease that are read; Debian's have about 150 KiB."""


class Releases(NamedTuple):
    """The digests of the InRelease files, in the order of the archive's parts, and the latest of their dates as Unix
    time."""

    digests: tuple[str, ...]
    date: int

    def text(self) -> str:
        return json.dumps([list(self.digests), self.date])

    @classmethod
    def of(cls, text: str) -> Releases:
        digests, date = json.loads(text)
        return cls(tuple(digests), int(date))


def ask(host: Host, archives: Sequence[tuple[str, str]]) -> Releases:
    """What the parts of the archive, as (mirror, suite), say now. Raises `SourceError`."""
    digests: list[str] = []
    dates: list[int] = []
    for mirror, suite in archives:
        data = _fetched(host, f"{mirror}/dists/{suite}/InRelease", suite)
        digests.append(sha256(data))
        dates.append(_date(data, suite))
    return Releases(tuple(digests), max(dates))


def _fetched(host: Host, url: str, suite: str) -> bytes:
    try:
        folder: Folder = host.load("source", "http").fetch(Source("http", url))
    except SourceError as error:
        hint = error.hint or f"is there a suite {suite}? IMG_DEBIAN_MIRROR names another mirror"
        raise SourceError(f"the archive's {suite} can't be had: {error.message}", hint=hint) from error
    (file,) = Path(folder.path).iterdir()
    with file.open("rb") as stream:
        data = stream.read(LONGEST + 1)
    if len(data) > LONGEST or not data.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        raise SourceError(f"{url} is not a signed release of Debian", hint="does IMG_DEBIAN_MIRROR name a mirror?")
    return data


def _date(data: bytes, suite: str) -> int:
    for line in data.split(b"\n\n", 2)[1].split(b"\n") if b"\n\n" in data else ():
        if line.startswith(b"Date:"):
            try:
                return int(parsedate_to_datetime(line[5:].decode().strip().replace("UTC", "+0000")).timestamp())
            except ValueError:
                break
    raise SourceError(f"the archive's {suite} has no date", hint="does IMG_DEBIAN_MIRROR name a mirror?")
