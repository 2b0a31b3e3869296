"""Trying, cheaply, what this machine allows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from img.sandbox import chrooted, groups, idmap, libc, network, root
from img.sandbox.ids import one_id


def try_root(work: str) -> tuple[str, str] | None:
    """The job: mount what every step's root takes, in namespaces of its own; returns what went wrong, and what the kernel
    said."""
    for what, trial in (("no overlay on the disk of the store", _overlay), ("no /proc of a step's own", _proc)):
        place = f"{work}/{trial.__name__}"
        os.mkdir(place)
        trouble = tried(lambda trial=trial, place=place: _in_mounts(place, trial))  # type: ignore[misc]
        if trouble:
            return what, trouble
    return None


def _in_mounts(place: str, trial: Callable[[str], None]) -> None:
    libc.unshare(libc.CLONE_NEWNS)
    trial(place)


def try_alone(work: str) -> tuple[str, str] | None:
    """Likewise without an overlay: where there is a single id, or the disk refuses them."""
    place = f"{work}/alone"
    os.mkdir(place)
    trouble = tried(lambda: _in_mounts(place, _proc))
    return ("no /proc of a step's own", trouble) if trouble else None


# --- everything that matters, for a diagnosis ------------------------------------------------------------------------

SYSCTLS = (
    "kernel/unprivileged_userns_clone",
    "user/max_user_namespaces",
    "kernel/apparmor_restrict_unprivileged_userns",
)

LIMITS = {"--memory": {"memory": 64 << 20}, "--cpus": {"cpu_quota": 50_000}, "--pids-limit": {"pids": 64}}

Facts = dict[str, Any]


def main(work: str) -> None:
    """Print, as JSON, what a process like this one may do. `work` is an empty folder on the store's disk. Called in a fresh
    process, since everything is tried for real, in children of it."""
    print(json.dumps(facts(work)))


def facts(work: str) -> Facts:
    """What is so here, and how each thing that a rung takes fares: empty if it works, else what the kernel said."""
    found: Facts = {
        "uid": os.geteuid(),
        "alone": one_id(),
        **_status(),
        "sysctls": _sysctls(),
        "apparmor": _read("/proc/self/attr/current"),
    }
    found["lacking"] = chrooted.missing()
    trials: dict[str, Callable[[str], None]] = {
        "mounts": lambda place: _own_mounts(),
        "overlay": lambda place: _with_mounts(place, _overlay),
        "proc": lambda place: _with_mounts(place, _proc),
        "chroot": os.chroot,
        "userns": lambda place: libc.unshare(libc.CLONE_NEWUSER),
        "user_mounts": lambda place: _as_user(place, _tmpfs),
        "user_overlay": lambda place: _as_user(place, _overlay),
        "user_proc": lambda place: _as_user(place, _proc),
        "recorder": lambda place: _recorder(),
    }
    for name, trial in trials.items():
        place = f"{work}/{name}"
        os.mkdir(place)
        found[name] = tried(lambda trial=trial, place=place: trial(place))  # type: ignore[misc]
    found["ids"] = _ids() if not found["userns"] else {}
    found["limits"] = {flag: _limit(wanted) for flag, wanted in LIMITS.items()}
    found["network"] = {"program": network.find(), "tun": tried(_tun)}
    return found


def _limit(wanted: dict[str, int]) -> list[str]:
    """What keeps a cgroup from keeping a limit, and what would help; both empty if one does."""

    def trial() -> None:
        try:
            groups.make(wanted).remove()
        except groups.Unkept as error:
            raise OSError(0, f"{error.why}\n{error.remedy}") from error

    why, _, remedy = tried(trial).partition("\n")
    return [why, remedy]


def _tun() -> None:
    os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))


def tried(trial: Callable[[], None]) -> str:
    """Try something in a child; returns what went wrong."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            trial()
        except OSError as error:
            os.write(writer, f"{error.strerror or error}".encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return text or (f"killed by signal {-status}" if status else "")


def _own_mounts() -> None:
    libc.unshare(libc.CLONE_NEWNS)
    libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)


def _with_mounts(place: str, trial: Callable[[str], None]) -> None:
    _own_mounts()
    trial(place)


def _as_user(place: str, trial: Callable[[str], None]) -> None:
    """In a user namespace where nobody but this user is somebody: what every user may do, if any may."""
    uid, gid = os.geteuid(), os.getegid()
    libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
    trial(place)


def _recorder() -> None:
    from img.sandbox import alone  # it needs this module

    alone.enter()
    alone.try_recorder()


def _tmpfs(place: str) -> None:
    libc.mount("tmpfs", place, "tmpfs")


def _overlay(place: str) -> None:
    os.mkdir(f"{place}/upper")
    os.mkdir(f"{place}/stubs")
    root.overlay(place, [], f"{place}/upper")


def _proc(place: str) -> None:
    libc.unshare(libc.CLONE_NEWPID)
    trouble = tried(lambda: libc.mount("proc", place, "proc"))
    if trouble:
        raise OSError(1, trouble)


def _ids() -> dict[str, str]:
    """Give a new user namespace its ids, as the sandbox does; returns what was missing."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            libc.unshare(libc.CLONE_NEWUSER)
            os.write(ready[1], b".")
            os.close(go[1])
            os.read(go[0], 1)
        finally:
            os._exit(0)
    os.close(go[0])
    os.read(ready[0], 1)
    found = idmap.write(child)
    os.close(go[1])
    os.waitpid(child, 0)
    for fd in ready:
        os.close(fd)
    return {name: text for name, text in found.items() if name != "rung"}


def _status() -> Facts:
    fields = dict(line.partition(":")[::2] for line in _read("/proc/self/status").splitlines())
    return {
        "capabilities": int(fields.get("CapEff", "0").strip() or "0", 16),
        "bounding": int(fields.get("CapBnd", "0").strip() or "0", 16),
        "no_new_privs": fields.get("NoNewPrivs", "").strip() == "1",
        "seccomp": fields.get("Seccomp", "").strip() == "2",
    }


def _sysctls() -> dict[str, str]:
    found = {name: _read(f"/proc/sys/{name}") for name in SYSCTLS}
    return {name.replace("/", "."): text for name, text in found.items() if text}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""
