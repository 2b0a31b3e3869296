"""A cgroup of a step's own, below the one that img is in: made with the step's limits, asked what became of them, removed.

Controllers may be in trees of v1 and in v2's at once (hybrid machines): each is taken from where it is. In v2 a cgroup
with processes gives its children no controllers, so img first moves its own processes into a child of their own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from img.sandbox import cgroups
from img.sandbox.cgroups import Tree, read, write
from img.sandbox.processes import descendants

PREFIX = "img-step-"
ENGINE = "img-engine"
STALE = 60.0
"""Seconds after which an empty cgroup of a step is nobody's."""

Wanted = Mapping[str, Any]
"""`img.ir.values.Resources.document`."""


class Unkept(Exception):
    """A limit that no cgroup here can keep: its flag, why, and what would help."""

    def __init__(self, flag: str, why: str, remedy: str) -> None:
        super().__init__(f"{flag}: {why}")
        self.flag, self.why, self.remedy = flag, why, remedy


class Knob(NamedTuple):
    """One line written to one file of a cgroup."""

    flag: str
    controller: str
    file: str
    text: str


class Group:
    """A cgroup in every tree that has one of the controllers it takes; `folders` by controller."""

    def __init__(self, folders: Mapping[str, str], unified: bool) -> None:
        self.folders = folders
        self.unified = unified

    def entrances(self) -> list[int]:
        """Descriptors for `join`, for a process that will not see the cgroup filesystems any more."""
        names = sorted({f"{folder}/cgroup.procs" for folder in self.folders.values()})
        return [os.open(name, os.O_WRONLY | os.O_CLOEXEC) for name in names]

    def killed(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        folder = self.folders.get("memory", "")
        fields = _fields(f"{folder}/memory.events") or _fields(f"{folder}/memory.oom_control")
        return fields.get("oom_kill", 0)

    def refused(self) -> bool:
        """Whether there could be no new process, or (v1 tells that of a child's children to nobody) there were as many as may
        be."""
        folder = self.folders.get("pids", "")
        limit = _number(f"{folder}/pids.max")
        return bool(_fields(f"{folder}/pids.events").get("max")) or 0 < limit <= _number(f"{folder}/pids.peak")

    def pressed(self) -> bool:
        """Whether memory has been at its limit (v1, where the kills of a child's children are not counted)."""
        return _number(f"{self.folders.get('memory', '')}/memory.failcnt") > 0

    def peak(self) -> int:
        """Bytes of memory at most; 0 if the kernel does not say."""
        folder = self.folders.get("memory", "")
        return _number(f"{folder}/memory.peak") or _number(f"{folder}/memory.max_usage_in_bytes")

    def remove(self) -> None:
        """Remove it; its processes are dead, or about to be."""
        for folder in sorted(set(self.folders.values())):
            for pause in (0.001, 0.01, 0.05, 0.2, 0.5, 0):
                with suppress(OSError):
                    for name in os.listdir(folder):
                        if os.path.isdir(f"{folder}/{name}"):
                            os.rmdir(f"{folder}/{name}")
                    os.rmdir(folder)
                if not os.path.isdir(folder):
                    break
                time.sleep(pause)


def join(entrances: list[int]) -> None:
    """Move this process into the cgroup of these descriptors, and close them. Raises `OSError`."""
    for descriptor in entrances:
        os.write(descriptor, b"0")
        os.close(descriptor)


def make(wanted: Wanted, parent: str = "", top: bool = False) -> Group:
    """A new cgroup with the limits `wanted`, below `parent` (as of `cgroups.enter`); empty: below the cgroup this process is
    in, or with `top` that of the whole tree. Raises `Unkept`, with nothing left behind."""
    name = f"{PREFIX}{os.urandom(6).hex()}"
    folders: dict[str, str] = {}
    unified = False
    try:
        for knob in knobs(wanted):
            if knob.controller not in folders:
                tree, base = _place(knob, parent, top)
                folder = f"{base}/{name}"
                if not os.path.isdir(folder):
                    _sweep(base)
                    os.mkdir(folder, 0o755)
                    cgroups.inherit(folder)
                folders[knob.controller] = folder
                unified = unified or tree.unified
            _set(folders[knob.controller], knob)
    except OSError as error:
        Group(folders, unified).remove()
        raise Unkept(knob.flag, f"{error.filename}: {error.strerror}", remedy(error.errno or 0)) from error
    except Unkept:
        Group(folders, unified).remove()
        raise
    return Group(folders, unified)


def _place(knob: Knob, parent: str, top: bool) -> tuple[Tree, str]:
    """The tree that has the controller, and the cgroup there to make one below. Raises `Unkept`, `OSError`."""
    for tree in cgroups.trees():
        if not tree.unified and knob.controller not in tree.controllers:
            continue
        base = cgroups.made(tree.point, parent) if parent else tree.point if top else _above(tree.own())
        if tree.has(knob.controller, base):
            if tree.unified:
                _delegate(base, knob.controller)
            return tree, base
    raise Unkept(knob.flag, f"no cgroup here has the controller {knob.controller}", remedy(2))


def _above(folder: str) -> str:
    """The cgroup for steps of a process in `folder`: not the child that img moved itself to."""
    return os.path.dirname(folder) if os.path.basename(folder) == ENGINE else folder


def _delegate(base: str, controller: str) -> None:
    """Let children of a v2 cgroup have `controller`. Raises `OSError`: EBUSY if others than img are in it.

    Some controllers can be had all the same, but then no process can enter a child: it would be one of threads only. The
    topmost cgroup alone, which has no type, may have both.
    """
    control = f"{base}/cgroup.subtree_control"
    if os.path.exists(f"{base}/cgroup.type") and read(f"{base}/cgroup.procs"):
        _step_aside(base)
        if read(f"{base}/cgroup.procs"):
            raise OSError(16, os.strerror(16), control)
    if controller not in read(control).split():
        write(control, f"+{controller}")


def _step_aside(base: str) -> None:
    """Move the processes of this build out of `base` into a child: the helper, the engine above it, and theirs."""
    engine = _parent(os.getppid())
    ours = {engine, *descendants(engine)}
    os.makedirs(f"{base}/{ENGINE}", 0o755, exist_ok=True)
    for line in read(f"{base}/cgroup.procs").split():
        if int(line) in ours:
            with suppress(ProcessLookupError):
                write(f"{base}/{ENGINE}/cgroup.procs", line)


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _sweep(base: str) -> None:
    """Remove what steps left whose supervisors were killed with them: only a cgroup without processes can be removed."""
    now = time.time()
    with suppress(OSError):
        for name in os.listdir(base):
            if name.startswith(PREFIX) and now - os.stat(f"{base}/{name}").st_ctime > STALE:
                with suppress(OSError):
                    os.rmdir(f"{base}/{name}")


# --- what is written where -----------------------------------------------------------------------------------------------


def knobs(wanted: Wanted) -> Iterator[Knob]:
    """What must be written for these limits. `file` is v1's name and v2's, separated by a space, `text` likewise by a ``|``."""
    memory = wanted.get("memory", 0)
    if memory:
        yield Knob("--memory", "memory", "memory.limit_in_bytes memory.max", f"{memory}|{memory}")
        both = wanted.get("memory_swap") or 2 * memory
        flag = "--memory-swap" if wanted.get("memory_swap") else ""
        swap = "max" if both < 0 else max(both - memory, 0)
        yield Knob(flag, "memory", "memory.memsw.limit_in_bytes memory.swap.max", f"{both}|{swap}")
    if quota := wanted.get("cpu_quota"):
        period = wanted.get("cpu_period") or 100_000
        yield Knob("--cpus", "cpu", "cpu.cfs_period_us ", f"{period}|")
        yield Knob("--cpus", "cpu", "cpu.cfs_quota_us cpu.max", f"{quota}|{quota} {period}")
    if shares := wanted.get("cpu_shares"):
        weight = 1 + (shares - 2) * 9999 // 262142
        yield Knob("--cpu-shares", "cpu", "cpu.shares cpu.weight", f"{shares}|{weight}")
    for name in ("cpus", "mems"):
        if text := wanted.get(f"cpuset_{name}"):
            yield Knob(f"--cpuset-{name}", "cpuset", f"cpuset.{name} cpuset.{name}", f"{text}|{text}")
    if pids := wanted.get("pids"):
        yield Knob("--pids-limit", "pids", "pids.max pids.max", f"{pids}|{pids}")


def _set(folder: str, knob: Knob) -> None:
    """Write a knob. One without a flag was not asked for, and need not be there. Raises `Unkept`, `OSError`."""
    unified = os.path.exists(f"{folder}/cgroup.controllers")
    file, text = knob.file.split(" ")[unified], knob.text.split("|")[unified]
    if not file:
        return
    if not os.path.exists(f"{folder}/{file}"):
        if knob.flag:
            remedy = "boot with swapaccount=1" if "swap" in knob.flag else "another kernel"
            raise Unkept(knob.flag, f"the kernel has no {file}", remedy)
        return
    write(f"{folder}/{file}", text)


def remedy(number: int) -> str:
    """What makes cgroups usable, by the errno that they answered with."""
    if number == 30:
        return (
            "the cgroup filesystem is read-only here: docker run --privileged; or limit the container itself: docker run "
            "--memory --cpus --pids-limit, resources: {limits: {memory: 1Gi}} of a pod"
        )
    if number == 16:
        return "other programs share img's cgroup: systemd-run --scope -p Delegate=yes img build …"
    if number == 22:
        return "the kernel takes no such value"
    return (
        "give img a cgroup of its own: systemd-run --user --scope -p Delegate=yes img build … (cgroup v2); with v1, as root; "
        "or name one that is set up with --cgroup-parent"
    )


def _fields(path: str) -> dict[str, int]:
    pairs = (line.split() for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: str) -> int:
    text = read(path)
    return int(text) if text.isdigit() else 0
