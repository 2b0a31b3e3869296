"""Which result each finished step had, by key; and what was looked up, in plain words."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from img.store.database import Database

KEEP_LOOKUPS = 30 * 86400
"""Seconds for which look-ups are kept."""


class Record(NamedTuple):
    """A finished step: the ids of the layers of its filesystem, bottom up, and when it was first made (Unix time)."""

    layers: tuple[str, ...]
    created: float


class Lookup(NamedTuple):
    """One question to the cache. `parts` says in words what the key was made of: (name, value)."""

    step: str
    title: str
    key: str
    hit: bool
    parts: tuple[tuple[str, str], ...]


class Records:
    """Key → `Record`. A key is a digest over everything that decides the result (`img.solver.keys`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> Record | None:
        row = self._database.one("SELECT layers, created FROM records WHERE key = ?", (key,))
        return Record(tuple(json.loads(row[0])), row[1]) if row else None

    def put(self, keys: Sequence[str], layers: Sequence[str], title: str) -> None:
        """Record one result under each of `keys`, in place of what stood there."""
        now = time.time()
        rows = [(key, json.dumps(list(layers)), title, now, now) for key in keys]
        self._database.write("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", *rows)

    def forget(self, key: str) -> None:
        """Drop a record whose layers are gone."""
        self._database.write("DELETE FROM records WHERE key = ?", (key,))

    def touch(self, keys: Sequence[str]) -> None:
        """Note that the records were used now."""
        now = time.time()
        self._database.write("UPDATE records SET used = ? WHERE key = ?", *[(now, key) for key in keys])

    def remember(self, build: str, lookups: Sequence[Lookup]) -> None:
        """Keep what `build` asked, so that a later build can say what changed."""
        now = time.time()
        rows = [(build, x.step, x.title, x.key, int(x.hit), json.dumps(x.parts), now) for x in lookups]
        self._database.write("INSERT INTO lookups VALUES (?, ?, ?, ?, ?, ?, ?)", *rows)
        self._database.write("DELETE FROM lookups WHERE time < ?", (now - KEEP_LOOKUPS,))

    def lookups(self, title: str, limit: int = 2) -> list[Lookup]:
        """The last look-ups of a step of this title, newest first."""
        rows = self._database.read(
            "SELECT step, title, key, hit, parts FROM lookups WHERE title = ? ORDER BY time DESC LIMIT ?",
            (title, limit),
        )
        return [Lookup(r[0], r[1], r[2], bool(r[3]), tuple(map(tuple, json.loads(r[4])))) for r in rows]
