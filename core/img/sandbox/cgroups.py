"""Where cgroups are, and putting a step into one that somebody set up: its limits and accounting then hold for the step.

With cgroup v2 that is one folder; with v1 the same path in every controller's tree (cgroups(7)).
"""

from __future__ import annotations

import os
from typing import NamedTuple

MOUNT = "/sys/fs/cgroup"
MOUNTS, OWN = "/proc/self/mountinfo", "/proc/self/cgroup"


class Tree(NamedTuple):
    """A cgroup filesystem: where it is mounted, which of its folders is seen there, and, of v1, its controllers."""

    point: str
    root: str
    controllers: frozenset[str]
    unified: bool

    def own(self) -> str:
        """The folder of the cgroup that this process is in; the tree's top if that can't be seen from here."""
        path = _own().get("" if self.unified else min(self.controllers, default="?"), "/")
        if self.root != "/" and path != self.root and not path.startswith(f"{self.root}/"):
            return self.point
        path = path if self.root == "/" else path[len(self.root) :]
        return self.point if ".." in path.split("/") else f"{self.point}/{path.strip('/')}".rstrip("/")

    def has(self, controller: str, folder: str) -> bool:
        """Whether `controller` can be used for children of `folder`, a cgroup of this tree."""
        if not self.unified:
            return controller in self.controllers
        return controller in read(f"{folder}/cgroup.controllers").split()


def trees() -> list[Tree]:
    """Every cgroup filesystem that is mounted, each once, by proc(5)."""
    found: dict[frozenset[str], Tree] = {}
    for line in read(MOUNTS).splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = [*right.split(" ", 2), "", ""][:3]
        if kind == "cgroup2":
            found.setdefault(frozenset(), Tree(*_places(left), frozenset(), True))
        elif kind == "cgroup":
            names = frozenset(word for word in options.split(",") if word in _own())
            if names:
                found.setdefault(names, Tree(*_places(left), names, False))
    return list(found.values())


def _places(line: str) -> tuple[str, str]:
    """Mount point and root of a line of mountinfo."""
    root, point = line.split(" ")[3:5]
    return point.encode().decode("unicode_escape"), root


def _own() -> dict[str, str]:
    """The cgroup of this process by controller; v2's is under the empty name."""
    found: dict[str, str] = {}
    for line in read(OWN).splitlines():
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def read(path: str) -> str:
    """The text of a file of the kernel, without the end of its last line; empty if there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def starved() -> int:
    """Bytes of memory that the cgroup of this process may have, if the kernel has killed a process in it for want of memory;
    0 if it has not, or does not say."""
    for tree in trees():
        if not tree.unified and "memory" not in tree.controllers:
            continue
        folder = tree.own()
        told = f"{read(f'{folder}/memory.events')}\n{read(f'{folder}/memory.oom_control')}"
        room = read(f"{folder}/memory.max") or read(f"{folder}/memory.limit_in_bytes")
        if room.isdigit() and any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in told.splitlines()):
            return int(room)
    return 0


def enter(path: str) -> None:
    """Move this process into the cgroup `path` of every tree, made where it is missing.

    Raises `OSError` naming the file that refused: the user may not, or (v2) it has controllers for its children.
    """
    roots = _roots()
    if not roots:
        raise OSError(2, "no cgroup filesystem is mounted", MOUNT)
    for root in roots:
        write(f"{made(root, path)}/cgroup.procs", "0")


def made(root: str, path: str) -> str:
    """The folder `path` of the tree `root`, made where it is missing. Raises `OSError`."""
    folder = root
    for name in path.split("/"):
        if not name or name == ".":
            continue
        if name == "..":
            raise OSError(22, "a cgroup's path has no ..", path)
        folder = f"{folder}/{name}"
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
        inherit(folder)
    return folder


def _roots() -> list[str]:
    """The cgroup2 filesystem if it is all there is, else every tree of v1, and v2 beside them."""
    if os.path.exists(f"{MOUNT}/cgroup.controllers"):
        return [MOUNT]
    try:
        names = sorted(os.listdir(MOUNT))
    except OSError:
        return []
    folders = {os.path.realpath(f"{MOUNT}/{name}") for name in names}
    return sorted(folder for folder in folders if os.path.exists(f"{folder}/cgroup.procs"))


def inherit(folder: str) -> None:
    """A new v1 cpuset is empty, and takes no process before it has the parent's processors and memory."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own, above = f"{folder}/{name}", f"{os.path.dirname(folder)}/{name}"
        old = os.path.exists(f"{folder}/cgroup.clone_children")
        if old and os.path.exists(own) and os.path.exists(above) and not read(own):
            write(own, read(above))


def write(path: str, text: str) -> None:
    """Write to a file of the kernel in one call. Raises `OSError` naming it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(descriptor)
