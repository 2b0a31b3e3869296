"""Each ability is really taken away, in a mount namespace of the test's own: the diagnosis names it and the line that gives
it, and a build that wants it fails with the same words."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.peers import builders

pytestmark = pytest.mark.real

USER = f"setpriv --reuid={builders.USER} --regid={builders.USER} --init-groups --inh-caps=-all"
TOOLS = "mkdir -p @W@/bin; for t in @T@; do ln -sf $(command -v $t) @W@/bin/; done; export PATH=@W@/bin; "


def _without(work: Path, taking: str, run: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run img after the shell lines `taking`, by `run` before the command, in a mount namespace that then goes."""
    words = " ".join([str(builders.TOOL), *arguments])
    script = f"mount --make-rprivate /; {taking.replace('@W@', str(work))}\nexec {run} {words}"
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "IMG_ROOT": str(work / "store"), "HOME": str(work)}
    argv = ["unshare", "-m", "sh", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, env=env, check=False, timeout=60, cwd="/")


def _diagnosis(work: Path, taking: str, run: str) -> dict[str, Any]:
    done = _without(work, taking, run, "doctor", "--json")
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


RUNGS = [
    (
        "newuidmap",
        TOOLS.replace("@T@", "sh setpriv unshare"),
        USER,
        "userns",
        "newuidmap is not installed",
        "package uidmap",
    ),
    (
        "subuid",
        "mount --bind /dev/null /etc/subuid",
        USER,
        "userns",
        "/etc/subuid has no range",
        "usermod --add-subuids",
    ),
    (
        "userns",
        f"exec {USER} unshare -U --map-root-user --map-auto sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' x",
        USER.replace(builders.USER, "1000").replace("--init-groups", "--clear-groups"),
        "userns",
        "user namespaces: user.max_user_namespaces is 0",
        "sysctl -w user.max_user_namespaces",
    ),
    ("mount", "", "setpriv --bounding-set=-sys_admin", "overlay", "the capability SYS_ADMIN", "--cap-add SYS_ADMIN"),
    (
        "overlay",
        "mkdir -p @W@/l @W@/u @W@/w @W@/store; mount -t overlay x -o lowerdir=@W@/l,upperdir=@W@/u,workdir=@W@/w @W@/store",
        "",
        "overlay",
        "overlayfs over the disk of the store",
        "emptyDir",
    ),
    (
        "proc",
        "mount -t tmpfs x /proc/fs",
        USER,
        "userns",
        "a /proc of its own: parts of the container's are masked",
        "procMount",
    ),
]


@pytest.mark.parametrize(
    ("taking", "run", "rung", "what", "remedy"), [row[1:] for row in RUNGS], ids=[row[0] for row in RUNGS]
)
def test_what_a_rung_lacks(work: Path, taking: str, run: str, rung: str, what: str, remedy: str) -> None:
    found = _diagnosis(work, taking, run) if not taking.startswith("exec") else _nested(work, taking, run)
    lacks = next(one for one in found["rungs"] if one["name"] == rung)["lacks"]
    assert any(what in lack["what"] and remedy in lack["remedy"] for lack in lacks), lacks


def _nested(work: Path, taking: str, run: str) -> dict[str, Any]:
    """With a program around img that takes away."""
    done = _without(work, "", f"{taking.removeprefix('exec ')} {run}", "doctor", "--json")
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


ABILITIES = [
    ("cgroups", "mount -t tmpfs x /sys/fs/cgroup", "", "--cpus", "a cgroup: ", "--cgroup-parent", "--cpus 1"),
    (
        "read-only cgroups",
        "for d in $(findmnt -rno TARGET -t cgroup,cgroup2); do mount -o remount,bind,ro $d; done",
        "",
        "--cpus",
        "Read-only file system",
        "docker run --privileged",
        "--cpus 1",
    ),
    ("delegation", "", USER, "--cpus", "Permission denied", "-p Delegate=yes", "--cpus 1"),
    (
        "pasta",
        TOOLS.replace("@T@", "sh newuidmap newgidmap setpriv"),
        USER,
        "--network=sandbox",
        "pasta or slirp4netns",
        "install the package passt",
        "--network sandbox",
    ),
    (
        "tun",
        "mount -t tmpfs x /dev/net",
        USER,
        "--network=sandbox",
        "/dev/net/tun",
        "--device /dev/net/tun",
        "--network sandbox",
    ),
]


@pytest.mark.parametrize(
    ("taking", "run", "name", "what", "remedy", "flags"),
    [row[1:] for row in ABILITIES],
    ids=[row[0] for row in ABILITIES],
)
def test_what_a_step_can_not_be_given(
    busybox: str, work: Path, taking: str, run: str, name: str, what: str, remedy: str, flags: str
) -> None:
    found = _diagnosis(work, taking, run)
    lacks = next(one for one in found["abilities"] if one["name"] == name)
    assert not lacks["works"]
    assert any(what in lack["what"] and remedy in lack["remedy"] for lack in lacks["lacks"]), lacks
    (work / "c").mkdir(mode=0o755)
    (work / "c" / "Dockerfile").write_text(f"FROM {busybox}\nRUN touch /ran\n")
    done = _without(work, taking, run, "build", "--progress", "plain", *flags.split(), str(work / "c"))
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert remedy in done.stderr, done.stderr
    assert "DONE" not in done.stderr.split("RUN touch")[-1]


def test_nothing_is_taken(work: Path) -> None:
    found = _diagnosis(work, "", "")
    assert found["rung"] == "overlay" and all(one["works"] for one in found["abilities"])


def test_a_run_that_has_no_rung_carries_the_diagnosis(busybox: str, work: Path) -> None:
    (work / "c").mkdir(mode=0o755)
    (work / "c" / "Dockerfile").write_text(f"FROM {busybox}\nRUN touch /ran\n")
    taking, run = next((row[1], row[2]) for row in RUNGS if row[0] == "userns")
    done = _without(work, "", f"{taking.removeprefix('exec ')} {run}", "build", str(work / "c"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "RUN does not work" in done.stderr, done.stderr
    assert "sysctl -w user.max_user_namespaces=15000" in done.stderr, done.stderr


STRANGER = "setpriv --reuid=34567 --regid=34567 --clear-groups --inh-caps=-all"
HOMES = [
    ("unset IMG_ROOT HOME", STRANGER, "HOME is not set, and the user 34567 is not in /etc/passwd"),
    ("unset IMG_ROOT; export HOME=/", STRANGER, "the store /.local/share/img: /.local: Permission denied"),
    ("unset IMG_ROOT; export HOME=/nowhere", USER, "the store /nowhere/.local/share/img: /nowhere: Permission denied"),
]


@pytest.mark.parametrize(("taking", "run", "what"), HOMES, ids=["nobody", "root's", "missing"])
def test_no_folder_of_ones_own(work: Path, taking: str, run: str, what: str) -> None:
    (work / "Dockerfile").write_text("FROM scratch\n")
    for words in (["doctor"], ["build", str(work)]):
        done = _without(work, taking, run, *words)
        assert done.returncode == 1 and what in done.stderr, done.stderr
        assert "set IMG_ROOT to a folder that " in done.stderr and "internal error" not in done.stderr


def test_no_new_privileges(busybox: str, work: Path) -> None:
    """The build says what the doctor says, and what newuidmap had to say is nobody's."""
    (work / "Dockerfile").write_text(f"FROM {busybox}\nRUN touch /ran\n")
    (work / "store").mkdir()
    (work / "store").chmod(0o777)
    found = _diagnosis(work, "", f"{USER} --no-new-privs")
    lacks = next(one for one in found["rungs"] if one["name"] == "userns")["lacks"]
    assert "no_new_privs is set" in lacks[0]["what"], lacks
    done = _without(work, "", f"{USER} --no-new-privs", "build", str(work))
    assert done.returncode == 0 and lacks[0]["what"] in done.stderr and lacks[0]["remedy"] in done.stderr, done.stderr
    assert "write to uid_map" not in done.stderr
