"""The root filesystem of a step: overlay, the kernel's filesystems, and mounts, then pivot_root.

Runs in a mount namespace of its own. Mount points that the image lacks come from a *stub* layer at the very bottom of
the overlay, so that none of them is ever left in the step's changes.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from img.sandbox import devices, libc, secrets

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
)
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
SHM_SIZE = 64 << 20

_SAFE = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC


def enter(step: dict[str, Any], memory: int | None = None) -> None:
    """Make the root of `step` and move into it; `memory` holds its secrets. Raises `OSError` naming the mount that
    failed."""
    lay_out(step, memory)
    os.chdir(f"{step['work']}/root")
    outside = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    libc.pivot_root(".", ".")
    os.fchdir(outside)
    # The old root is the current folder now: sources are named relative to it, targets from the new root.
    insecure = bool(step.get("insecure"))
    _system(step, insecure)
    for item in step["mounts"]:
        _mount(item, insecure)
    if not insecure:
        _mask()
    libc.umount(".", libc.MNT_DETACH)
    os.close(outside)
    os.chdir("/")


def lay_out(step: dict[str, Any], memory: int | None = None) -> None:
    """Mount the root of `step`, an overlay or the folder it says, at ``root`` in its folder ``work``, and make its mounts
    ready (`lay_mounts`)."""
    lay_mounts(step, memory)
    if step.get("root"):
        os.mkdir(f"{step['work']}/root")
        libc.mount(step["root"], f"{step['work']}/root", "", libc.MS_BIND)
        libc.restrict(f"{step['work']}/root", read_only=False, no_devices=not step.get("insecure"))
        return
    overlay(step["work"], step["lower"], step["upper"], 0 if step.get("insecure") else libc.MS_NODEV)


def lay_mounts(step: dict[str, Any], memory: int | None = None) -> None:
    """Make the mounts of `step` ready in its folder ``work``: ``secret`` and ``view`` are a ``bind`` afterwards, and every
    one has its place in the stub layer."""
    work = step["work"]
    if memory is not None:
        secrets.lay_out(work, step["mounts"], memory, owned="recorder" not in step)
    for item in step["mounts"]:
        if item["kind"] == "view":
            _lay_over(item, step["mounts"])
    if not step.get("root"):
        _make_stubs(work, step["mounts"])


def overlay(work: str, lower: list[str], upper: str, flags: int = libc.MS_NODEV) -> None:
    """Mount the overlay at `work`/root. Folders are named by short links, as all options must fit into one page."""
    names, count = name_layers(work, lower, upper)
    here = os.getcwd()
    os.chdir(names)
    stack = ":".join(str(number) for number in range(count))
    options = f"lowerdir={stack},upperdir=u,workdir=w,userxattr"
    try:
        libc.mount("overlay", "../root", "overlay", flags, f"{options},volatile")
    except OSError:
        libc.mount("overlay", "../root", "overlay", flags, options)
    finally:
        os.chdir(here)


def name_layers(work: str, lower: list[str], upper: str) -> tuple[str, int]:
    """Make the folder of links that an overlay is mounted by: ``0``, ``1``, … from the top down, ``u`` and ``w``. Returns
    it, and how many layers there are.

    Two steps that changed the same are one tree, which overlayfs takes only once: the topmost stays, since it sets
    again whatever a lower one set.
    """
    names = f"{work}/names"
    os.mkdir(names)
    for folder in ("root", "overlay"):
        os.mkdir(f"{work}/{folder}")
    layers = list(dict.fromkeys((*reversed(lower), f"{work}/stubs")))
    for number, path in enumerate(layers):
        os.symlink(path, f"{names}/{number}")
    os.symlink(upper, f"{names}/u")
    os.symlink(f"{work}/overlay", f"{names}/w")
    return names, len(layers)


def _lay_over(item: dict[str, Any], mounts: list[dict[str, Any]]) -> None:
    """Turn a ``view`` (a path in a stack of trees) into a bind: an overlay whose changes are thrown away. It has a place
    for every mount inside it, as it may be read-only."""
    work = item["work"]
    os.mkdir(f"{work}/stubs", 0o755)
    above = item["target"].rstrip("/") + "/"
    for other in mounts:
        if other["target"].startswith(above):
            _stub(f"{work}/stubs/{item['path']}/{other['target'].removeprefix(above)}", bool(other.get("file")))
    os.mkdir(f"{work}/upper", 0o755)
    overlay(work, item["lower"], f"{work}/upper")
    item["kind"] = "bind"
    item["source"] = f"{work}/root/{item['path']}"


def _make_stubs(work: str, mounts: list[dict[str, Any]]) -> None:
    """The bottom layer: an empty place for every mount."""
    stubs = f"{work}/stubs"
    os.mkdir(stubs, 0o755)
    for name in ("proc", "sys", "dev", "etc"):
        os.mkdir(f"{stubs}/{name}", 0o755)
    for item in mounts:
        _stub(stubs + os.path.normpath(item.get("stub") or item["target"]), bool(item.get("file")))


def _stub(place: str, file: bool) -> None:
    try:
        if file:
            os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        else:
            os.makedirs(place, 0o755, exist_ok=True)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return


def _system(step: dict[str, Any], insecure: bool) -> None:
    _place("/proc")
    libc.mount("proc", "/proc", "proc", _SAFE)
    _sys(step.get("network") in ("none", "sandbox"), 0 if insecure else libc.MS_RDONLY)
    _place("/dev")
    lay_devices("/dev", ".", 0 if insecure else libc.MS_NODEV)
    for target, link in LINKS:
        os.symlink(target, link)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"/dev/{name}", 0o755)
    terminal = "newinstance,ptmxmode=0666,mode=0620"
    try:
        libc.mount("devpts", "/dev/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, f"{terminal},gid=5")
    except OSError:
        libc.mount("devpts", "/dev/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, terminal)
    libc.mount("tmpfs", "/dev/shm", "tmpfs", _SAFE, f"mode=1777,size={step.get('shm_size') or SHM_SIZE}")
    libc.mount("mqueue", "/dev/mqueue", "mqueue", _SAFE)


def lay_devices(folder: str, machine: str, flags: int = libc.MS_NODEV) -> None:
    """Mount a tmpfs with `flags` at `folder`, and in it the devices that every step has. `machine` is the machine's root.

    They are nodes of the step's own, since root could give the machine's another mode or owner; in a user namespace nobody
    could, and none can be made: there they are the machine's. Each is a mount of its own, so that no others that a step makes
    can be opened.
    """
    libc.mount("tmpfs", folder, "tmpfs", libc.MS_NOSUID | libc.MS_NOEXEC | flags, "mode=755,size=64k")
    with devices.openable(folder) as nodes:
        for name in DEVICES:
            source, place = f"{machine}/dev/{name}", f"{folder}/{name}"
            try:
                os.mknod(f"{nodes}/{name}", stat.S_IFCHR | 0o666, os.stat(source).st_rdev)
                os.chmod(f"{nodes}/{name}", 0o666)
                source = f"{nodes}/{name}"
            except PermissionError:
                pass
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
            libc.mount(source, place, "", libc.MS_BIND)


def _sys(own_network: bool, readonly: int) -> None:
    """/sys. A user namespace may mount sysfs only with a network namespace of its own; else the host's."""
    _place("/sys")
    try:
        libc.mount("sysfs", "/sys", "sysfs", _SAFE | readonly)
        return
    except OSError:
        if own_network:
            raise
    libc.mount("./sys", "/sys", "", libc.MS_BIND | libc.MS_REC)
    if readonly:
        libc.read_only("/sys")


def _mount(item: dict[str, Any], insecure: bool) -> None:
    """One mount of the step: ``bind`` (of a file or folder), ``tmpfs`` or ``device``."""
    target = item["target"]
    if item["kind"] == "device":
        devices.make(item)
        return
    _place(target, bool(item.get("file")))
    if item["kind"] == "tmpfs":
        size = f",size={item['size']}" if item.get("size") else ""
        libc.mount("tmpfs", target, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, f"mode={item.get('mode', 0o1777):o}{size}")
        return
    libc.mount(f".{item['source']}", target, "", libc.MS_BIND | libc.MS_REC)
    libc.restrict(target, read_only=bool(item.get("readonly")), no_devices=not insecure)


def _place(path: str, file: bool = False) -> None:
    """See to it that there is something to mount on; the stub layer nearly always has it."""
    try:
        mode = os.stat(path).st_mode
        if file == (not stat.S_ISDIR(mode)):
            return
        raise NotADirectoryError(20, "the image has a file where a folder is mounted, or the reverse", path)
    except FileNotFoundError:
        pass
    if not file:
        os.makedirs(path, 0o755, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _mask() -> None:
    for path in MASKED:
        try:
            folder = stat.S_ISDIR(os.lstat(path).st_mode)
        except OSError:
            continue
        if folder:
            libc.mount("tmpfs", path, "tmpfs", _SAFE | libc.MS_RDONLY, "size=0k")
        else:
            libc.mount("./dev/null", path, "", libc.MS_BIND)
    for path in READ_ONLY:
        if os.path.exists(path):
            libc.mount(path, path, "", libc.MS_BIND | libc.MS_REC)
            libc.read_only(path)
