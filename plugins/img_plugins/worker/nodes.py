"""Which device nodes a step of root's may open, whatever it makes or finds in its image: those that every step has, and those
that it was given. Making any is allowed, as that is what images are made of.

A runtime keeps that by the container's cgroup. One that runs without cgroups is put into one of the devices controller (v1).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

from img.sandbox import cgroups, devices
from img.sandbox.refused import Refused

Json = dict[str, Any]

EVERY = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))
"""null, zero, full, random, urandom, tty, ptmx."""
TERMINALS = 136
"""The major number of what is in /dev/pts."""


def rules(step: Json) -> list[Json]:
    """For ``linux.resources.devices``; what a step was given is the ``rule`` of its mounts (`note`)."""
    if step.get("insecure"):
        return [{"allow": True, "access": "rwm"}]
    found: list[Json] = [{"allow": False, "access": "rwm"}]
    found += [{"allow": True, "type": kind, "access": "m"} for kind in "cb"]
    found += [{"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in EVERY]
    found.append({"allow": True, "type": "c", "major": TERMINALS, "access": "rwm"})
    return found + [{"allow": True, **item["rule"], "access": "rwm"} for item in step["mounts"] if item.get("rule")]


def note(item: Json) -> tuple[int, int]:
    """Note the ``rule`` of a mount of kind device; returns the node's mode and number. Raises `OSError`."""
    mode, number = devices.wanted(item, item["source"])
    kind = "b" if stat.S_ISBLK(mode) else "c"
    item["rule"] = {"type": kind, "major": os.major(number), "minor": os.minor(number)}
    return mode, number


class Fence:
    """A cgroup that keeps the rules of `step`. `entrance` is a descriptor to join it by."""

    def __init__(self, step: Json) -> None:
        tree = next((tree for tree in cgroups.trees() if "devices" in tree.controllers), None)
        if tree is None:
            raise Refused(
                f"{os.path.basename(step['runtime'])} as root takes cgroups here, that a step opens no devices of this machine",
                "--backend chroot, or runc (IMG_RUNTIME=runc)",
            )
        self._folder = f"{tree.own()}/{step['id']}"
        try:
            for item in step["mounts"]:
                if item["kind"] == "device":
                    note(item)
            os.mkdir(self._folder, 0o755)
            for rule in rules(step):
                cgroups.write(f"{self._folder}/devices.{'allow' if rule['allow'] else 'deny'}", _line(rule))
            self.entrance = os.open(f"{self._folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            self.remove()
            raise Refused(
                f"the devices of this machine can't be kept from a step: {error.filename}: {error.strerror}",
                "--backend chroot keeps them without cgroups",
            ) from error

    def remove(self) -> None:
        """Remove it; its processes are dead."""
        with suppress(OSError):
            os.rmdir(self._folder)


def _line(rule: Json) -> str:
    """A rule as devices.allow and devices.deny take it."""
    if "type" not in rule:
        return "a"
    return f"{rule['type']} {rule.get('major', '*')}:{rule.get('minor', '*')} {rule['access']}"
