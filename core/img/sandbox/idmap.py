"""The id ranges of a user, and giving them to a user namespace with newuidmap and newgidmap (shadow-utils)."""

from __future__ import annotations

import os
import pwd

Range = tuple[int, int, int]
"""First id inside, first id outside, how many."""


def write(pid: int) -> dict[str, str]:
    """Map the ids of the process `pid`'s new user namespace. Returns an empty dict, or the rung and what is missing."""
    from shutil import which

    uid, gid = os.getuid(), os.getgid()
    name = _name(uid)
    for tool in ("newuidmap", "newgidmap"):
        if which(tool) is None:
            return _missing(f"{tool} is not installed", "install the package uidmap (shadow-utils)")
    for file, tool, own, map in (
        ("/etc/subuid", "newuidmap", uid, "uid_map"),
        ("/etc/subgid", "newgidmap", gid, "gid_map"),
    ):
        ranges = read_ranges(file, name, uid)
        if not ranges:
            return _missing(
                f"{file} has no range for {name}",
                f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
            )
        maps = [(0, own, 1)]
        for start, count in ranges:
            maps.append((maps[-1][0] + maps[-1][2], start, count))
        words = [str(number) for one in maps for number in one]
        child = os.posix_spawnp(tool, [tool, str(pid), *words], dict(os.environ))
        if not _ended_well(child, f"/proc/{pid}/{map}"):
            return _missing(f"{tool} failed", "it must be setuid root, or have the capability for it")
    return {}


def read_ranges(file: str, name: str, uid: int) -> list[tuple[int, int]]:
    """(first id, count) of each range that `file` (subuid(5)) gives the user, by name or number."""
    ranges: list[tuple[int, int]] = []
    try:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                parts = line.strip().split(":")
                if len(parts) == 3 and parts[0] in (name, str(uid)) and parts[1].isdigit() and parts[2].isdigit():
                    ranges.append((int(parts[1]), int(parts[2])))
    except OSError:
        return []
    return ranges


def _ended_well(child: int, map: str) -> bool:
    """Whether the tool wrote `map`. A program that ignores SIGCHLD has no exit codes, so then the file is looked at."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    except ChildProcessError:
        with open(map, encoding="ascii") as lines:
            return bool(lines.read().strip())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _missing(reason: str, remedy: str) -> dict[str, str]:
    return {"rung": "none", "reason": reason, "remedy": remedy}
