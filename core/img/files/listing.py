"""Listings on disk: JSON lines, one entry a line. They are how long lists of files travel between processes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from img.files.entry import Entry


def write_listing(path: str | Path, entries: Iterable[Entry]) -> None:
    """Write `entries` to a new file."""
    with open(path, "x", encoding="ascii") as out:
        for entry in entries:
            row = list(entry)
            row[9] = [[name, base64.b64encode(value).decode("ascii")] for name, value in entry.xattrs]
            out.write(json.dumps(row))
            out.write("\n")


def read_listing(path: str | Path) -> Iterator[Entry]:
    """The entries of a listing file, in order."""
    with open(path, encoding="ascii") as lines:
        for line in lines:
            row = json.loads(line)
            row[8] = tuple(row[8])
            row[9] = tuple((name, base64.b64decode(value)) for name, value in row[9])
            yield Entry(*row)
