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
        words = [tool, str(pid), *words]
        with _Said() as said:
            child = os.posix_spawnp(tool, words, dict(os.environ), file_actions=said.actions)
            if not _ended_well(child, f"/proc/{pid}/{map}"):
                return _missing(*why(f"{tool} failed", said.text(), *_confinement()))
    return {}


class _Said:
    """Where a program's complaints go. What they come of is told in other words."""

    def __init__(self) -> None:
        self._file = os.memfd_create("said", os.MFD_CLOEXEC)
        self.actions = [(os.POSIX_SPAWN_DUP2, self._file, 2)]

    def __enter__(self) -> _Said:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def text(self) -> str:
        """The first line."""
        return os.pread(self._file, 500, 0).decode("utf-8", "replace").strip().partition("\n")[0]


_SETID, _SYS_ADMIN = 1 << 6 | 1 << 7, 1 << 21
_FILE_CAPABILITIES = (
    "in the container's image: chmod u-s /usr/bin/new?idmap && setcap cap_setuid+ep /usr/bin/newuidmap && "
    "setcap cap_setgid+ep /usr/bin/newgidmap, as podman's and BuildKit's own images have it; or --cap-add SYS_ADMIN"
)
"""A setuid root newuidmap acts as root, which is not the owner of the namespace; with capabilities it acts as the user."""


def why(failed: str, said: str, no_new_privs: bool, bounding: int) -> tuple[str, str]:
    """What a tool that `failed` lacked, and what gives it, by how this process is confined."""
    if no_new_privs:
        remedy = (
            "securityContext: {allowPrivilegeEscalation: true}; docker run without --security-opt no-new-privileges"
        )
        return f"{failed}: no_new_privs is set, so that it gains nothing", remedy
    if bounding & _SETID != _SETID:
        remedy = (
            "docker run --cap-add SETUID --cap-add SETGID; securityContext: {capabilities: {add: [SETUID, SETGID]}}"
        )
        return f"{failed}: the container lacks the capabilities SETUID and SETGID", remedy
    if not bounding & _SYS_ADMIN:
        return f"{failed}: it is setuid root, and root in this container lacks SYS_ADMIN", _FILE_CAPABILITIES
    return f"{failed}: {said}" if said else failed, "it must be setuid root, or have the capability for it"


def _confinement() -> tuple[bool, int]:
    """Whether no_new_privs is set, and the bounding set of capabilities (proc(5))."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        fields = dict(line.partition(":")[::2] for line in lines)
    return fields.get("NoNewPrivs", "0").strip() == "1", int(fields.get("CapBnd", "0").strip(), 16)


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
