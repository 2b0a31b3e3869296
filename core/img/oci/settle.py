"""What a step changed, in the one form that is the same however its root was made.

overlayfs copies up what a program merely opened for writing, marks new folders as opaque on some machines and not on
others, and leaves whiteouts of mount points that never were in the image. `settle` removes all of that from the tree of
changes: what is left differs from the layers below, and is the same layer whichever rung the step ran on. BuildKit's
differ leaves out the unchanged too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from img.files.entry import Entry
from img.files.records import read_records, recorded
from img.files.view import View, entry_of
from img.files.xattrs import OPAQUE

CHUNK = 1 << 20

Rows = dict[str, list[Any]] | None
"""Records of a recorded tree."""


def settle(tree: str, lower: Sequence[str]) -> None:
    """Remove from `tree`, changes over the trees `lower`, what changes nothing. Raises `OSError`."""
    view, rows = View(lower), read_records(tree)
    joined: dict[int, list[str]] = {}
    folders: list[tuple[str, bool]] = [("", False)]
    for path, hidden in folders:
        place = f"{tree}/{path}"
        below = None if hidden else view.lstat(path)
        opaque = _opaque(place) if path else False
        if opaque and (below is None or below.kind != "dir"):
            os.removexattr(place, OPAQUE)
        inside = hidden or opaque or (bool(path) and (below is None or below.kind != "dir"))
        with os.scandir(place) as files:
            for file in files:
                if file.is_dir(follow_symlinks=False):
                    folders.append((_join(path, file.name), inside))
                elif (status := file.stat(follow_symlinks=False)).st_nlink > 1:
                    joined.setdefault(status.st_ino, []).append("" if inside else _join(path, file.name))
    groups = {inode for inode, names in joined.items() if _same_group(tree, names, view, rows)}
    for path, hidden in reversed(folders):
        _settle_folder(tree, path, view, hidden, rows, groups)


def _same_group(tree: str, names: Sequence[str], view: View, rows: Rows) -> bool:
    """Whether these names of one file, none of which is in a folder made anew, are names of one equal file below: what a
    copy with hard links has when another name of theirs went. An empty name stands for one that is."""
    inodes: set[tuple[int, int]] = set()
    for name in names:
        below = view.lstat(name) if name else None
        if below is None or not _same(
            recorded(entry_of(name, place := f"{tree}/{name}", os.lstat(place)), rows), below
        ):
            return False
        status = os.lstat(below.source)
        inodes.add((status.st_dev, status.st_ino))
    if len(inodes) != 1 or os.lstat(f"{tree}/{names[0]}").st_nlink != len(names):
        return False
    return below is not None and (below.kind != "file" or _same_bytes(f"{tree}/{names[0]}", below.source))


def _settle_folder(tree: str, path: str, view: View, hidden: bool, rows: Rows, groups: set[int]) -> None:
    """Remove files of one folder, whose folders are settled; and those of its folders that say nothing any more."""
    place = f"{tree}/{path}" if path else tree
    below = None if hidden else view.lstat(path)
    covered = hidden or below is None or below.kind != "dir" or _opaque(place)
    with os.scandir(place) as files:
        names = [file.name for file in files]
    idle = [name for name in names if _idle(f"{place}/{name}", _join(path, name), view, covered, rows, groups)]
    if not idle:
        return
    before = os.lstat(place)
    for name in idle:
        inner = f"{place}/{name}"
        if os.path.isdir(inner) and not os.path.islink(inner):
            os.rmdir(inner)
        else:
            os.unlink(inner)
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def _idle(place: str, path: str, view: View, covered: bool, rows: Rows, groups: set[int]) -> bool:
    """Whether the layer is the same without this."""
    status = os.lstat(place)
    here = recorded(entry_of(path, place, status), rows)
    if here.kind == "whiteout":
        return covered or view.lstat(path) is None
    if covered:
        return False
    below = view.lstat(path)
    if below is None or not _same(here, below):
        return False
    if here.kind == "dir":
        return not os.listdir(place)
    if status.st_ino in groups:
        return True
    return status.st_nlink == 1 and (here.kind != "file" or _same_bytes(place, below.source))


def _same(here: Entry, below: Entry) -> bool:
    """Equal but for the content of files."""
    return here._replace(source="") == below._replace(source="", opaque=False)


def _same_bytes(one: str, other: str) -> bool:
    with open(one, "rb", buffering=0) as left, open(other, "rb", buffering=0) as right:
        while True:
            data = left.read(CHUNK)
            if data != right.read(CHUNK):
                return False
            if not data:
                return True


def _opaque(place: str) -> bool:
    try:
        return OPAQUE in os.listxattr(place, follow_symlinks=False)
    except OSError:
        return False


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
