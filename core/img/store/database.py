"""The SQLite file of a store: one connection for all threads, WAL, and errors in our own words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from img.errors import StoreError
from img.store.locks import locked

SCHEMA_VERSION = 3

SCHEMA = """
CREATE TABLE IF NOT EXISTS layers (
    id TEXT PRIMARY KEY, diff_id TEXT NOT NULL DEFAULT '', blob TEXT NOT NULL DEFAULT '',
    origin TEXT NOT NULL DEFAULT '', created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS squashed (
    key TEXT PRIMARY KEY, diff_id TEXT NOT NULL, blob TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY, layers TEXT NOT NULL, title TEXT NOT NULL, created REAL NOT NULL,
    used REAL NOT NULL) WITHOUT ROWID;
DROP TABLE IF EXISTS lookups;
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, descriptor TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memory (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, used REAL NOT NULL,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stats (
    root TEXT NOT NULL, path TEXT NOT NULL, ino INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, digest TEXT,
    PRIMARY KEY (root, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS caches (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, target TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL,
    times INTEGER NOT NULL) WITHOUT ROWID;
"""

Row = tuple[Any, ...]


class Database:
    """SQL on the store's file. Safe from several threads and processes; each `write` is one transaction.

    Raises `StoreError` for a file that is damaged, from a newer img, full, or can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._errors():
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"the store {path.parent} was written by a newer img",
                    hint="update img, or name another folder with --state or IMG_ROOT",
                )
            self._connection.execute("PRAGMA synchronous=NORMAL")
            if version < SCHEMA_VERSION:
                with locked(path.parent / "locks" / "database"):
                    self._connection.execute("PRAGMA journal_mode=WAL")
                    self._connection.executescript(f"{SCHEMA} PRAGMA user_version={SCHEMA_VERSION};")

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock, self._errors():
            return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of a query, if there is one."""
        with self._lock, self._errors():
            row: Row | None = self._connection.execute(sql, parameters).fetchone()
            return row

    def write(self, sql: str, *rows: Sequence[object]) -> None:
        """Run `sql` for each row, all or nothing."""
        if not rows:
            return
        with self._lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(sql, rows)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _translate(self, error: sqlite3.Error) -> StoreError:
        text = str(error)
        if "full" in text:
            return StoreError(f"no space left for the store at {self.path.parent}", hint="free some space")
        if "not a database" in text or "malformed" in text:
            return StoreError(
                f"the store's index {self.path} is damaged ({text})",
                hint=f"move {self.path} away; images and caches in it are lost, nothing else is",
            )
        return StoreError(
            f"the store's index {self.path} can't be used: {text}", hint="check the folder's owner and mode"
        )
