"""How much disk things take, and moving them out of the way."""

from __future__ import annotations

import os
from collections.abc import Sequence


def measure(paths: Sequence[str]) -> list[int]:
    """Bytes on disk of each path with all below it, as du(1) counts: blocks, and a file with several names once, for the
    first of `paths` it is found in. What is not there takes nothing."""
    seen: set[tuple[int, int]] = set()
    return [_measure(path, seen) for path in paths]


def move(paths: Sequence[str], folder: str) -> None:
    """Move each of `paths` into the new folder `folder`, under a number. What is not there is not missed.

    A job of its own, as only who owns a folder may move it.
    """
    os.mkdir(folder)
    for number, path in enumerate(paths):
        try:
            os.rename(path, f"{folder}/{number}")
        except FileNotFoundError:
            continue


def _measure(path: str, seen: set[tuple[int, int]]) -> int:
    total = 0
    pending = [path]
    while pending:
        place = pending.pop()
        try:
            status = os.lstat(place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
            if status.st_mode & 0o170000 == 0o040000:
                pending += [entry.path for entry in os.scandir(place)]
        except FileNotFoundError:
            continue
    return total
