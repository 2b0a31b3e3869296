"""Putting a step into a cgroup that somebody set up: the limits and the accounting on it then hold for the step.

With cgroup v2 that is one folder; with v1 the same path in every controller's tree (cgroups(7)).
"""

from __future__ import annotations

import os

MOUNT = "/sys/fs/cgroup"


def enter(path: str) -> None:
    """Move this process into the cgroup `path` of every tree, made where it is missing.

    Raises `OSError` naming the file that refused: the user may not, or (v2) it has controllers for its children.
    """
    roots = _roots()
    if not roots:
        raise OSError(2, "no cgroup filesystem is mounted", MOUNT)
    for root in roots:
        folder = root
        for name in path.split("/"):
            if not name or name == ".":
                continue
            if name == "..":
                raise OSError(22, "a cgroup's path has no ..", path)
            folder = f"{folder}/{name}"
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o755)
            _inherit(folder)
        with open(f"{folder}/cgroup.procs", "wb", buffering=0) as out:
            _write(out.fileno(), b"0", f"{folder}/cgroup.procs")


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


def _inherit(folder: str) -> None:
    """A new v1 cpuset is empty, and takes no process before it has the parent's processors and memory."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own, above = f"{folder}/{name}", f"{os.path.dirname(folder)}/{name}"
        if os.path.exists(own) and os.path.exists(above) and os.path.exists(f"{folder}/cgroup.clone_children"):
            with open(own) as file:
                if file.read().strip():
                    continue
            with open(above) as file:
                value = file.read().strip()
            with open(own, "w") as file:
                file.write(value)


def _write(descriptor: int, data: bytes, name: str) -> None:
    try:
        os.write(descriptor, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
