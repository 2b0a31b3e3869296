"""The owners of files where all are the same one's to the kernel.

By device and inode, so that every name of a file is right, and renames are. An inode that is used again can't bring its
old owner along: every call that makes a file goes through the recorder, which sets what it made.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from img.sandbox.owners.identity import Identity

Key = tuple[int, int]
NOBODY = 65534
"""What the kernel shows for an id that the namespace has not: the machine's own files, which are root's elsewhere."""


MOST = 1 << 22
"""Files that one step may make: what is known of each stays in memory until it ends."""


class Owner(NamedTuple):
    """Whose a file is, and what it stands for."""

    uid: int = 0
    gid: int = 0
    device: str = ""
    """``c:MAJOR:MINOR`` or ``b:…`` if it stands for a device node."""


ROOT = Owner()


class Table:
    """Owners of files that are not root's. `rows` are [device, inode, uid, gid, device node]."""

    def __init__(self, rows: list[list[object]]) -> None:
        self._owners: dict[Key, Owner] = {(row[0], row[1]): Owner(*row[2:]) for row in rows}  # type: ignore[misc,arg-type]
        self.get = self._owners.get
        self.made_here: set[Key] = set()
        """What this step made."""

    def of(self, status: os.stat_result) -> Owner:
        return self._owners.get((status.st_dev, status.st_ino), ROOT)

    def set(self, status: os.stat_result, owner: Owner, *, here: bool = False) -> None:
        """Whose a file is; `here`: this step made it."""
        key = status.st_dev, status.st_ino
        if here:
            self.made_here.add(key)
        if len(self.made_here) > MOST or len(self._owners) > 2 * MOST:
            raise RuntimeError(f"a step may make {MOST} files where owners are recorded")
        if owner == ROOT:
            self._owners.pop(key, None)
        else:
            self._owners[key] = owner

    def made(self, status: os.stat_result, parent: os.stat_result, by: Identity, device: str = "") -> None:
        """A new file, in a folder: inode(7) on the set-group-ID bit of folders."""
        gid = self.of(parent).gid if parent.st_mode & stat.S_ISGID else by.groups.files
        self.set(status, Owner(by.users.files, gid, device), here=True)

    def rows(self) -> list[list[object]]:
        return [[*key, *owner] for key, owner in self._owners.items()]


def may(by: Identity, status: os.stat_result, owner: Owner, wanted: int) -> bool:
    """Whether the mode of a file lets somebody do what the bits of `wanted` (4 read, 2 write, 1 execute) say."""
    mode = stat.S_IMODE(status.st_mode)
    if by.users.files == 0:
        return not wanted & 1 or stat.S_ISDIR(status.st_mode) or bool(mode & 0o111)
    if by.users.files == owner.uid:
        mode >>= 6
    elif by.member(owner.gid):
        mode >>= 3
    return mode & wanted == wanted
