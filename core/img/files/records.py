"""Attributes that could not be applied: a *recorded* tree has them in a file beside it.

Without privileges nobody can give files away. Where RUN does not work anyway, trees are only read, so that it is enough to
know what their files are in the image: a record for each whose owner is not root, or whose mode or file capability was
left out. A recorded tree is never mounted; the store keeps it apart from whole ones.
"""

from __future__ import annotations

import base64
import json
import os
from functools import lru_cache
from typing import Any

from img.files.entry import Entry
from img.files.xattrs import CAPABILITY

SUFFIX = ".owners"
CHOWN = 0


def unprivileged() -> bool:
    """Whether this process can't give files away: trees that it makes have to be recorded ones."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        words = next((line.split() for line in lines if line.startswith("CapEff:")), ["", "0"])
    return not int(words[1], 16) >> CHOWN & 1


class Records:
    """The records of a tree in the making."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {}

    def add(self, path: str, entry: Entry) -> None:
        """Note what is at `path` now, whatever was there before."""
        capability = next((value for name, value in entry.xattrs if name == CAPABILITY), b"")
        self._rows[path] = [entry.uid, entry.gid, entry.mode, base64.b64encode(capability).decode("ascii")]

    def alias(self, path: str, target: str) -> None:
        """`path` is another name of `target` now."""
        if target in self._rows:
            self._rows[path] = self._rows[target]

    def save(self, tree: str) -> None:
        """Write them beside the folder `tree`."""
        with open(tree + SUFFIX, "x", encoding="ascii") as out:
            json.dump(self._rows, out)


@lru_cache(4)
def _rows(tree: str, changed: int) -> dict[str, list[Any]]:
    with open(tree + SUFFIX, encoding="ascii") as file:
        rows: dict[str, list[Any]] = json.load(file)
    return rows


def read_records(tree: str) -> dict[str, list[Any]] | None:
    """The records of a tree; None if it is a whole one."""
    try:
        changed = os.stat(tree + SUFFIX).st_mtime_ns
    except OSError:
        return None
    return _rows(tree, changed)


def recorded(entry: Entry, rows: dict[str, list[Any]] | None) -> Entry:
    """What `entry` of a tree with these records is in the image."""
    if rows is None or entry.kind == "whiteout":
        return entry
    row = rows.get(entry.path)
    if row is None:
        return entry._replace(uid=0, gid=0)
    uid, gid, mode, packed = row
    xattrs = entry.xattrs
    if packed:
        xattrs = tuple(sorted((*xattrs, (CAPABILITY, base64.b64decode(packed)))))
    return entry._replace(uid=uid, gid=gid, mode=0o777 if entry.kind == "symlink" else mode, xattrs=xattrs)


def open_mode(entry: Entry) -> int:
    """The mode on disk: the image's, and that the owner gets at it."""
    return entry.mode | (0o700 if entry.kind == "dir" else 0o600)
