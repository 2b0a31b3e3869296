"""The limits of a step: a cgroup of its own keeps them, else a watchdog over its processes keeps those that one can keep.

A watchdog looks now and then at what the step's processes hold together, and kills the step when that is more than it
may: memory and processes. It sees what processes hold, not files that they keep in memory. Processor time it can't keep:
such a limit fails the step before it runs. Time is kept the same way everywhere.
"""

from __future__ import annotations

import os
import time
from typing import Any

from img.sandbox import groups, libc, processes
from img.sandbox.refused import Refused

LOOK = 0.02
"""Seconds between two looks of the watchdog."""
WATCHED = ("memory", "memory_swap", "pids", "timeout")
FLAGS = {"cpu_quota": "--cpus", "cpu_period": "--cpus", "pids": "--pids-limit"}

Verdict = dict[str, Any]


class Kept:
    """The limits of one step while it runs. `below` is the process whose descendants are the step."""

    def __init__(self, wanted: dict[str, Any], group: groups.Group | None, why: str) -> None:
        self.group = group
        self.below = 0
        self._wanted = wanted
        self._watched = {} if group else {name: wanted[name] for name in ("memory", "pids") if name in wanted}
        self._why = why
        self._broke: Verdict = {}
        self._peak = 0
        self._started = time.monotonic()

    def entrances(self) -> list[int]:
        """See `groups.join`."""
        return self.group.entrances() if self.group else []

    def pause(self) -> float | None:
        """Milliseconds until `over` should be asked again; None: never."""
        if self._broke:
            return None
        if self._watched:
            return LOOK * 1000
        if "timeout" in self._wanted:
            end: float = self._started + self._wanted["timeout"]
            return max(0.0, end - time.monotonic()) * 1000 + 1
        return None

    def over(self) -> bool:
        """Whether the step has just gone over a limit, so that it must be killed."""
        if self._broke:
            return False
        limit = self._wanted.get("timeout")
        if limit and time.monotonic() - self._started >= limit:
            self._broke = {"what": "timeout", "limit": limit}
        elif self._watched:
            self._look()
        return bool(self._broke)

    def _look(self) -> None:
        pids = processes.descendants(self.below)
        if limit := self._watched.get("memory"):
            held = processes.resident(pids, limit)
            self._peak = max(self._peak, held)
            if held > limit:
                self._broke = {"what": "memory", "limit": limit, "peak": held}
        limit = self._watched.get("pids")
        if limit and not self._broke and (count := processes.threads(pids)) > limit:
            self._broke = {"what": "pids", "limit": limit, "peak": count}

    def verdict(self, status: int) -> Verdict:
        """What to add to the reply of a step that has ended: ``broke`` is the limit that it ran into, ``watched`` says
        why there is only a watchdog. Removes the cgroup."""
        found: Verdict = {}
        group = self.group
        if group is not None and not self._broke:
            if killed := group.killed():
                self._broke = {
                    "what": "memory",
                    "limit": self._wanted["memory"],
                    "peak": group.peak(),
                    "killed": killed,
                }
            elif status == 137 and "memory" in self._wanted and group.pressed():
                self._broke = {"what": "memory", "limit": self._wanted["memory"], "peak": group.peak(), "killed": 1}
            elif status and group.refused():
                self._broke = {"what": "pids", "limit": self._wanted["pids"]}
        if self._broke:
            found["broke"] = self._broke
        if self._watched:
            found["watched"] = self._why
        self.end()
        return found

    def end(self) -> None:
        """Remove the cgroup. May be called twice."""
        if self.group is not None:
            self.group.remove()


def begin(step: dict[str, Any], top: bool = False) -> Kept:
    """See to it that the limits of `step` are kept; `top` as of `groups.make`. Raises `Refused` if one can't be."""
    wanted = dict(step.get("resources") or {})
    why = ""
    if set(wanted) <= {"timeout"}:
        return Kept(wanted, None, why)
    try:
        return Kept(wanted, groups.make(wanted, step.get("cgroup", ""), top), why)
    except groups.Unkept as error:
        why, remedy = error.why, error.remedy
    rest = [name for name in wanted if name not in WATCHED or name == "memory_swap"]
    if rest:
        flag = FLAGS.get(rest[0]) or f"--{rest[0].replace('_', '-')}"
        raise Refused(f"the limit {flag} can't be kept here: {why}", remedy)
    return Kept(wanted, None, f"{why}; for a cgroup: {remedy}")


def alone(kept: Kept) -> int | None:
    """Outlive the helper, if there is a cgroup to remove; returns a descriptor that tells when it is gone."""
    if kept.group is None:
        return None
    libc.prctl(libc.PR_SET_PDEATHSIG, 0)
    return os.pidfd_open(os.getppid())
