"""Small things worth remembering between builds: answers of sources, lowered build files, the stat index."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from img.store.database import Database

Stat = tuple[int, int, int, int, str]
"""Inode, size, mtime in ns, ctime in ns, digest of the content."""


class Memory:
    """Text by key, one drawer per `kind`. Losing it costs time, never correctness."""

    def __init__(self, database: Database, kind: str) -> None:
        self._database = database
        self._kind = kind

    def get(self, key: str) -> str | None:
        row = self._database.one("SELECT value FROM memory WHERE kind = ? AND key = ?", (self._kind, key))
        return row[0] if row else None

    def set(self, key: str, value: str) -> None:
        self._database.write("INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)", (self._kind, key, value, time.time()))

    def fill(self, values: Mapping[str, str]) -> None:
        """Set many at once; what is there stays."""
        now = time.time()
        rows = [(self._kind, key, value, now) for key, value in values.items()]
        self._database.write("INSERT OR IGNORE INTO memory VALUES (?, ?, ?, ?)", *rows)


class Stats:
    """The stat index: what each file of a context last looked like, and the digest it had then.

    A file is taken as unchanged if inode, size, mtime and ctime all are what they were.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, root: str) -> dict[str, Stat]:
        """All rows of the context folder `root`, by path relative to it."""
        rows = self._database.read(
            "SELECT path, ino, size, mtime, ctime, digest FROM stats WHERE root = ?", (_key(root),)
        )
        return {os.fsdecode(row[0]): row[1:] for row in rows}

    def save(self, root: str, rows: Mapping[str, Stat]) -> None:
        """Add or replace `rows`."""
        name = _key(root)
        self._database.write(
            "INSERT OR REPLACE INTO stats VALUES (?, ?, ?, ?, ?, ?, ?)",
            *[(name, _key(path), *stat) for path, stat in rows.items()],
        )

    def forget(self, root: str, paths: list[str]) -> None:
        """Drop rows of files that are gone."""
        self._database.write("DELETE FROM stats WHERE root = ? AND path = ?", *[(_key(root), _key(p)) for p in paths])


def _key(path: str) -> str | bytes:
    """A path as SQLite takes it: text if it is text, bytes if it is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path
