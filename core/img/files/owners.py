"""Whose the files of a folder are where all are one's on the disk: of a step's root, or of a cache.

By path while nothing runs, kept in records beside the folder that leave out what is true on the disk; by inode for the
recorder of a step (`img.sandbox.owners`), and as it left them.
"""

from __future__ import annotations

import json
import os
from typing import Any

from img.files.entry import Entry
from img.files.records import SUFFIX, Records, as_device, device_name

Row = list[Any]
"""Owner, group, and the device that it stands for, or nothing."""

_ROOT: Row = [0, 0, ""]


class Owners:
    """Those that are not root's; what is not here is. `records` is the tree of changes in the making."""

    def __init__(self, paths: dict[str, Row] | None = None) -> None:
        self.paths = paths or {}
        self.records = Records()
        self._inodes: dict[tuple[int, int], Row] = {}

    @classmethod
    def read(cls, folder: str) -> Owners:
        """Those of a folder; nothing is noted of one that has none."""
        try:
            with open(folder + SUFFIX, encoding="ascii") as file:
                rows = json.load(file)
            return cls({path: [*row[:2], row[4] if len(row) > 4 else ""] for path, row in rows.items()})
        except FileNotFoundError:
            return cls()

    def save(self, folder: str) -> None:
        """Note them beside the folder, whole or not at all."""
        fresh = f"{folder}{SUFFIX}.{os.urandom(6).hex()}"
        rows = {path: [*row[:2], None, "", *filter(None, row[2:])] for path, row in self.paths.items()}
        with open(fresh, "x", encoding="ascii") as out:
            json.dump(rows, out)
        os.rename(fresh, folder + SUFFIX)

    def keep(self, entry: Entry) -> Entry:
        """Note what is at `entry.path` from now on; returns what is to be put there on the disk."""
        row = [entry.uid, entry.gid, device_name(entry)]
        if row == _ROOT:
            self.paths.pop(entry.path, None)
        else:
            self.paths[entry.path] = row
        bare = entry._replace(uid=os.geteuid(), gid=os.getegid())
        return bare._replace(kind="socket", device=(0, 0)) if row[2] else bare

    def rows(self, folder: str) -> list[Row]:
        """By device and inode, for a recorder: [device, inode, owner, group, device node]."""
        found: list[Row] = []
        for path, row in self.paths.items():
            try:
                status = os.lstat(f"{folder}/{path}" if path else folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            found.append([status.st_dev, status.st_ino, *row])
        return found

    def left(self, rows: list[Row]) -> None:
        """A recorder left these; the paths are to be seen anew."""
        self._inodes = {(row[0], row[1]): row[2:] for row in rows}
        self.paths = {}

    def seen(self, path: str, status: os.stat_result) -> None:
        """A file is at `path`."""
        if (row := self._inodes.get((status.st_dev, status.st_ino))) is not None:
            self.paths[path] = row

    def record(self, entry: Entry, status: os.stat_result) -> Entry:
        """Record in the tree of changes what `entry` of the folder is; returns what is to be put there on the disk."""
        uid, gid, device = self._inodes.get((status.st_dev, status.st_ino), _ROOT)
        entry = entry._replace(uid=uid, gid=gid)
        return self.records.apply(entry.path, as_device(entry, device) if device else entry)
