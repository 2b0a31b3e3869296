"""Which result each finished step had, by key."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from img.store.database import Database


class Record(NamedTuple):
    """A finished step: the ids of the layers of its filesystem, bottom up, and when it was first made (Unix time)."""

    layers: tuple[str, ...]
    created: float


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
