"""Attributes that could not be applied: a *recorded* tree has them in a file beside it.

Without privileges, or with a single id, nobody can give files away. Trees are only read, so that it is enough to know
what their files are in the image: a record for each, with owner, mode, file capability, and the device that it stands for.
A recorded tree is never mounted, a step gets a copy; the store keeps it apart from whole ones.
"""

from __future__ import annotations

import base64
import json
import os
from functools import lru_cache
from typing import Any

from img.files.entry import Entry
from img.files.xattrs import CAPABILITY
from img.sandbox.single import one_id

SUFFIX = ".owners"
CHOWN = 0
_DEVICES = ("char", "block")


def unprivileged() -> bool:
    """Whether this process can't give files away: trees that it makes have to be recorded ones."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        words = next((line.split() for line in lines if line.startswith("CapEff:")), ["", "0"])
    return not int(words[1], 16) >> CHOWN & 1 or one_id()


class Records:
    """The records of a tree in the making."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {}

    def add(self, path: str, entry: Entry) -> None:
        """Note what is at `path` now, whatever was there before."""
        capability = next((value for name, value in entry.xattrs if name == CAPABILITY), b"")
        row = [entry.uid, entry.gid, entry.mode, base64.b64encode(capability).decode("ascii")]
        if entry.kind in _DEVICES:
            row.append(device_name(entry))
        self._rows[path] = row

    def has(self, path: str) -> bool:
        """Whether anything is noted of `path`."""
        return path in self._rows

    def alias(self, path: str, target: str) -> None:
        """`path` is another name of `target` now."""
        if target in self._rows:
            self._rows[path] = self._rows[target]

    def apply(self, path: str, entry: Entry) -> Entry:
        """Note what is to be at `path`; returns what can be put there. A device node is a socket there, as nobody can open
        either."""
        self.add(path, entry)
        bare = entry._replace(uid=os.geteuid(), gid=os.getegid(), mode=open_mode(entry))
        return bare._replace(kind="socket", device=(0, 0)) if entry.kind in _DEVICES else bare

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
    uid, gid, mode, packed, *device = row
    xattrs = entry.xattrs
    if packed:
        others = (pair for pair in xattrs if pair[0] != CAPABILITY)
        xattrs = tuple(sorted((*others, (CAPABILITY, base64.b64decode(packed)))))
    if device:
        entry = as_device(entry, device[0])
    mode = 0o777 if entry.kind == "symlink" else entry.mode if mode is None else mode
    return entry._replace(uid=uid, gid=gid, mode=mode, xattrs=xattrs)


def device_name(entry: Entry) -> str:
    """A device node in one word: ``c:MAJOR:MINOR`` or ``b:MAJOR:MINOR``; empty for anything else."""
    return f"{entry.kind[0]}:{entry.device[0]}:{entry.device[1]}" if entry.kind in _DEVICES else ""


def as_device(entry: Entry, name: str) -> Entry:
    """The device node of that name (`device_name`) that the file `entry` stands for."""
    kind, major, minor = name.split(":")
    return entry._replace(kind="char" if kind == "c" else "block", device=(int(major), int(minor)), size=0)


def open_mode(entry: Entry) -> int:
    """The mode on disk: the image's, and that the owner gets at it."""
    return entry.mode | (0o700 if entry.kind == "dir" else 0o600)
