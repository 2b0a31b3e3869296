"""Cache mounts: which there are, what for, and when each was last used. Their files are in ``cache-mounts/<name>``.

Using one means holding a share of the lock ``locks/use-<name>``; removing one means having that lock alone.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from img.store.database import Database


class Cache(NamedTuple):
    """One folder. Several may serve one id: private twins, and caches that started from other files. Unix times."""

    name: str
    id: str
    target: str
    """Where a step mounted it last."""
    created: float
    used: float
    times: int
    """How many steps used it."""


class Caches:
    """A table beside the folders. Losing it loses no cache, only what is known of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def used(self, name: str, id: str, target: str) -> None:
        """Note that a step uses the folder now."""
        now = time.time()
        self._database.write(
            "INSERT INTO caches VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (name) DO UPDATE SET "
            "target = excluded.target, used = excluded.used, times = times + 1",
            (name, id, target, now, now),
        )

    def list(self) -> dict[str, Cache]:
        """All that was noted, by the folder's name."""
        rows = self._database.read("SELECT name, id, target, created, used, times FROM caches")
        return {row[0]: Cache(*row) for row in rows}

    def forget(self, name: str) -> None:
        """Drop the row of a folder that is gone."""
        self._database.write("DELETE FROM caches WHERE name = ?", (name,))
