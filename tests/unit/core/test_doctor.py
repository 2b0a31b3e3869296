"""Each thing that can be missing: the diagnosis names it, and the line that gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from img.doctor import best, examine, hint, report, rungs
from img.ports import Availability

DEFAULT = 0x00000000A80425FB
"""Docker's default capabilities."""
EVERY = 0x1FFFFFFFFFF
ROOT: dict[str, Any] = {
    "uid": 0,
    "capabilities": EVERY,
    "bounding": EVERY,
    "no_new_privs": False,
    "seccomp": False,
    "sysctls": {},
    "apparmor": "unconfined",
    "lacking": [],
    "mounts": "",
    "overlay": "",
    "proc": "",
    "chroot": "",
    "userns": "",
    "user_mounts": "",
    "user_overlay": "",
    "user_proc": "",
    "ids": {},
    "alone": False,
    "recorder": "",
}
EPERM = "Operation not permitted"
POD = {
    **ROOT,
    "capabilities": DEFAULT,
    "seccomp": True,
    "mounts": EPERM,
    "userns": EPERM,
    "overlay": EPERM,
    "proc": EPERM,
}
USER = {**ROOT, "uid": 1000, "capabilities": 0, "mounts": EPERM, "overlay": EPERM, "proc": EPERM, "lacking": ["CHOWN"]}

CASES = [
    ("root", ROOT, "overlay", "userns", "img is root here", "runAsUser: 1000"),
    (
        "a privileged container's own disk",
        {**ROOT, "overlay": "Invalid argument"},
        "plain",
        "overlay",
        "disk",
        "IMG_ROOT",
    ),
    ("a masked proc", {**ROOT, "proc": EPERM}, "copy", "overlay", "/proc", "procMount: Unmasked"),
    ("a pod's defaults", POD, "copy", "overlay", "SYS_ADMIN", "add: [SYS_ADMIN]"),
    ("seccomp", {**POD, "capabilities": EVERY}, "copy", "overlay", "seccomp", "seccompProfile: {type: Unconfined}"),
    (
        "AppArmor",
        {**ROOT, "mounts": "Permission denied", "apparmor": "docker-default (enforce)"},
        "copy",
        "overlay",
        "docker-default",
        "apparmor=unconfined",
    ),
    (
        "no MKNOD is fine, no SETUID is not",
        {**POD, "lacking": ["SETUID"]},
        "assemble",
        "copy",
        "SETUID",
        "add: [SETUID]",
    ),
    ("a user", USER, "userns", "copy", "uid 1000", "runAsUser: 0"),
    (
        "a user, seccomp",
        {**USER, "userns": EPERM, "seccomp": True},
        "assemble",
        "userns",
        "seccomp",
        "seccomp=unconfined",
    ),
    (
        "Debian's switch",
        {**USER, "userns": EPERM, "sysctls": {"kernel.unprivileged_userns_clone": "0"}},
        "assemble",
        "userns",
        "kernel.unprivileged_userns_clone is 0",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "none at all",
        {**USER, "userns": "No space left on device", "sysctls": {"user.max_user_namespaces": "0"}},
        "assemble",
        "userns",
        "user.max_user_namespaces is 0",
        "sysctl -w user.max_user_namespaces=15000",
    ),
    (
        "Ubuntu's switch",
        {**USER, "user_mounts": "Permission denied", "sysctls": {"kernel.apparmor_restrict_unprivileged_userns": "1"}},
        "assemble",
        "userns",
        "apparmor_restrict_unprivileged_userns is 1",
        "/etc/apparmor.d/img",
    ),
    (
        "no range",
        {**USER, "ids": {"reason": "/etc/subuid has no range for ann", "remedy": "usermod --add-subuids …"}},
        "one-id",
        "userns",
        "/etc/subuid",
        "usermod",
    ),
    (
        "no_new_privs",
        {**USER, "no_new_privs": True, "ids": {"reason": "newuidmap failed", "remedy": "x"}},
        "one-id",
        "userns",
        "no_new_privs",
        "allowPrivilegeEscalation: true",
    ),
    (
        "setuid dropped",
        {**USER, "bounding": 0, "ids": {"reason": "newuidmap failed", "remedy": "x"}},
        "one-id",
        "userns",
        "SETUID and SETGID",
        "add: [SETUID, SETGID]",
    ),
    (
        "setuid root in a container",
        {**USER, "bounding": 1 << 6 | 1 << 7, "ids": {"reason": "newuidmap failed", "remedy": "x"}},
        "one-id",
        "userns",
        "lacks SYS_ADMIN",
        "setcap cap_setuid+ep /usr/bin/newuidmap",
    ),
    (
        "an old kernel",
        {**USER, "ids": {"reason": "x", "remedy": "y"}, "recorder": "it takes Linux 5.19 (Invalid argument)"},
        "assemble",
        "one-id",
        "Linux 5.19",
        "seccomp=unconfined",
    ),
    (
        "root of a namespace with one id",
        {**ROOT, "alone": True},
        "one-id",
        "overlay",
        "a single id",
        "more ids",
    ),
    ("a disk", {**USER, "user_overlay": "Invalid argument"}, "plain", "userns", "disk", "emptyDir"),
]


@pytest.mark.parametrize(
    ("facts", "used", "rung", "what", "remedy"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_it_names_what_is_missing(facts: dict[str, Any], used: str, rung: str, what: str, remedy: str) -> None:
    ladder = rungs(facts)
    assert best(ladder).name == used
    lacks = next(one for one in ladder if one.name == rung).lacks
    assert any(what in lack.what and remedy in lack.remedy for lack in lacks), lacks
    assert what in hint(facts)


def test_the_exit_code_says_whether_run_works() -> None:
    nothing = {**USER, "userns": EPERM}
    chroot = ("chroot", Availability(True, "assembles only"))
    assert report(nothing, [chroot]).status == 1
    assert report(nothing, [chroot, ("other", Availability(True, "works"))]).status == 0
    assert report(nothing, [chroot, ("other", Availability(False, "is away", "start it"))]).status == 1
    assert report(ROOT, [chroot]).status == 0
    told = report(nothing, [("other", Availability(False, "is away", "start it"))])
    assert "RUN does not work here" in told.text
    assert "start it" in told.text


def test_it_agrees_with_the_sandbox(tmp_path: Path) -> None:
    """On this machine, as root."""
    from img.sandbox.client import Sandbox

    sandbox = Sandbox.start(paths=sys.path)
    try:
        assert best(rungs(examine(tmp_path))).name == sandbox.rung
    finally:
        sandbox.close()


DROPPED = [
    ([], "overlay", 0),
    (["sys_admin"], "copy", 0),
    *[(["sys_admin", name], "assemble", 1) for name in ("chown", "setuid", "setgid", "fowner", "kill", "sys_chroot")],
    (["sys_admin", "mknod", "net_raw"], "copy", 0),
]


@pytest.mark.parametrize(("dropped", "rung", "status"), DROPPED, ids=[",".join(case[0]) or "none" for case in DROPPED])
def test_each_capability_that_is_taken_away(tmp_path: Path, dropped: list[str], rung: str, status: int) -> None:
    """The command itself, for real, with capabilities missing."""
    bounding = ",".join(f"-{name}" for name in dropped)
    argv = ["setpriv", f"--bounding-set={bounding}"] if dropped else []
    argv += [sys.executable, "-m", "img_cli", "doctor", "--json"]
    env = {"PATH": os.environ["PATH"], "IMG_ROOT": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    document = json.loads(done.stdout)
    assert document["rung"] == rung
    assert document["run"] is (status == 0)
    if status:
        lacks = next(one for one in document["rungs"] if one["name"] == "copy")["lacks"]
        assert dropped[-1].upper() in lacks[0]["remedy"]
