"""The processes below one, and what they hold, by proc(5)."""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(of: int) -> list[int]:
    """The process ids below `of`."""
    below = _below()
    found: list[int] = []
    pending = [of]
    while pending:
        children = below.get(pending.pop(), [])
        found += children
        pending += children
    return found


def children(of: int) -> list[int]:
    """The process ids right below `of`."""
    return _below().get(of, [])


def _below() -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            below.setdefault(parent, []).append(int(name))
    return below


def threads(pids: list[int]) -> int:
    """How many threads the processes have together: what a limit of processes counts."""
    count = 0
    for pid in pids:
        try:
            count += os.stat(f"/proc/{pid}/task").st_nlink - 2
        except OSError:
            continue
    return count


def resident(pids: list[int], bound: int) -> int:
    """Bytes of memory that the processes hold together. Pages that several share are counted once, as far as the kernel tells;
    that takes long, so it is only asked for if they would be above `bound` otherwise."""
    total = sum(_resident(pid) for pid in pids)
    return total if total <= bound else sum(_proportional(pid) for pid in pids)


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    return _resident(pid)
