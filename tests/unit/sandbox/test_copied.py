"""Steps without namespaces, in the sandbox itself: what they see, what is left of them, and what they can't reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from img.errors import BackendError
from img.files.trees import scan
from img.sandbox.client import Sandbox
from img_plugins.worker.copied import as_copied

NAMES = "sh cat ls mkdir rm mv ln echo sleep setsid id chroot touch chmod mount env test wc stat".split()


class Ground:
    """A busybox root in a store, and a sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = Sandbox.start(paths=sys.path)
        self.base = folder / "layers" / "base" / "tree"
        (self.base / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", self.base / "bin" / "busybox")
        for name in NAMES:
            (self.base / "bin" / name).symlink_to("busybox")
        (self.base / "etc").mkdir()
        (self.base / "etc" / "hosts").write_text("of the image\n")
        for name in ("dev", "proc", "sys", "full"):
            (self.base / name).mkdir()
            (self.base / name / "own").write_text("of the image\n")
        (folder / "copies").mkdir()
        self.work = folder

    def step(self, script: str, mounts: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
        self.work = Path(tempfile.mkdtemp(dir=self.folder))
        step = {
            "lower": [str(self.base)],
            "upper": str(self.work / "upper"),
            "work": str(self.work / "work"),
            "argv": ["/bin/sh", "-c", script],
            "env": [["PATH", "/bin"]],
            "env_secrets": [],
            "cwd": "/",
            "user": "",
            "groups": [],
            "mounts": mounts or [],
            "network": "host",
            "hostname": "h",
            "limits": [],
            "cgroup": "",
            "insecure": False,
            **more,
        }
        return as_copied(step, str(self.folder / "copies"))

    def run(self, script: str, *mounts: dict[str, Any], secret: bytes = b"") -> tuple[dict[str, Any], str]:
        """Run a script; returns the reply and what it printed."""
        memory = None
        if secret:
            memory = os.memfd_create("secrets")
            os.write(memory, secret)
        with tempfile.TemporaryFile() as out:
            reply = self.sandbox.run(self.step(script, list(mounts)), out.fileno(), out.fileno(), memory).wait()
            out.seek(0)
            text = out.read().decode()
        if memory is not None:
            os.close(memory)
        return reply, text

    def changes(self) -> dict[str, str]:
        return {e.path: e.kind for e in scan(str(self.work / "upper")) if e.path}


@pytest.fixture
def ground() -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="img-copied-", dir="/var/tmp"))
    made = Ground(folder)
    yield made
    made.sandbox.close()
    shutil.rmtree(folder)


def test_its_changes_are_a_layer(ground: Ground) -> None:
    reply, text = ground.run("echo hi; echo x > /new; rm /etc/hosts 2>&1; ls /dev /proc")
    assert reply["status"] == 0, text
    assert ground.changes() == {"new": "file", "etc": "dir", "etc/hosts": "whiteout"}
    assert {"hi", "null", "urandom", "cpuinfo"} <= set(text.split())


def test_the_exit_codes_are_those_of_the_process(ground: Ground) -> None:
    assert [ground.run(script)[0]["status"] for script in ("exit 3", "kill -9 $$", "kill -15 $$")] == [3, 137, 143]
    step = ground.step("") | {"argv": ["/missing"]}
    with tempfile.TemporaryFile() as out:
        assert ground.sandbox.run(step, out.fileno(), out.fileno()).wait()["failed"][:2] == ["exec", 2]


def test_nothing_it_started_outlives_it(ground: Ground) -> None:
    mark = "7919"
    ground.run(f"(setsid sleep {mark} &); setsid sh -c 'setsid sleep {mark} & sleep {mark}' & exit 0")
    assert _sleeping(mark) == 0


@pytest.mark.parametrize("how", ["kill", "engine"])
def test_killed_it_leaves_nothing(ground: Ground, how: str) -> None:
    mark = "7927" if how == "kill" else "7933"
    script = f"(setsid sleep {mark} &); setsid sleep {mark} & sleep {mark}"
    with tempfile.TemporaryFile() as out:
        job = ground.sandbox.run(ground.step(script), out.fileno(), out.fileno())
        _until(lambda: _sleeping(mark) == 3)
        if how == "kill":
            threading.Timer(0.1, job.kill).start()
        else:
            ground.sandbox.close()  # what the helper sees when the engine dies
        assert job.wait()["status"] == 137
    _until(lambda: _sleeping(mark) == 0)


def _sleeping(mark: str) -> int:
    found = subprocess.run(["pgrep", "-fxc", f"(/bin/)?sleep {mark}"], capture_output=True, text=True, check=False)
    return int(found.stdout)


def _until(reached: Any) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_mounts_are_put_in_and_taken_out(ground: Ground) -> None:
    hosts = ground.folder / "hosts"
    hosts.write_text("of the step\n")
    cache = ground.folder / "caches" / "one"
    cache.mkdir(parents=True)
    (cache / "kept").write_text("kept\n")
    mounts = [
        {"kind": "bind", "source": str(hosts), "target": "/etc/hosts", "file": True},
        {"kind": "bind", "source": str(cache), "target": "/deep/er/cache", "kept": True},
        {"kind": "tmpfs", "target": "/scratch"},
        {"kind": "tmpfs", "target": "/full"},
        {
            "kind": "secret",
            "target": "/run/secrets/s",
            "file": True,
            "at": 0,
            "size": 6,
            "mode": 0o400,
            "uid": 5,
            "gid": 6,
        },
        {
            "kind": "view",
            "target": "/mnt/v",
            "lower": [str(ground.base)],
            "path": "etc",
            "file": False,
            "readonly": True,
        },
    ]
    script = (
        "cat /etc/hosts /deep/er/cache/kept /run/secrets/s /mnt/v/hosts; stat -c '%a %u:%g' /run/secrets/s; "
        "echo >> /etc/hosts; echo > /scratch/x; echo more > /deep/er/cache/more; rm /deep/er/cache/kept; echo > /mnt/v/w"
    )
    reply, text = ground.run(script, *mounts, secret=b"sh1bb0")
    assert reply["status"] == 0, text
    assert text == "of the step\nkept\nsh1bb0of the image\n400 5:6\n"
    assert ground.changes() == {}
    assert [path.name for path in cache.iterdir()] == ["more"]
    assert not any(b"sh1bb0" in path.read_bytes() for path in ground.folder.rglob("*") if path.is_file())
    (kept,) = (ground.folder / "copies").iterdir()
    assert sorted(path.name for path in kept.iterdir()) == ["bin", "dev", "etc", "full", "proc", "sys"]
    assert (kept / "etc" / "hosts").read_text() == "of the image\n"


def test_what_is_put_in_goes_wherever_the_step_moves_it(ground: Ground) -> None:
    """A moved folder, and links in its place that lead out of the root: nothing out there is touched."""
    outside = ground.folder / "outside"
    outside.mkdir()
    (outside / "hosts").write_text("outside\n")
    hosts = ground.folder / "hosts"
    hosts.write_text("of the step\n")
    mount = {"kind": "bind", "source": str(hosts), "target": "/etc/hosts", "file": True}
    secret = {
        "kind": "secret",
        "target": "/etc/s/s",
        "file": True,
        "at": 0,
        "size": 6,
        "mode": 0o400,
        "uid": 0,
        "gid": 0,
    }
    script = f"mv /etc /moved; ln -s {outside} /etc; mv /dev /dev2; ln -s {outside} /dev"
    reply, text = ground.run(script, mount, secret, secret=b"sh1bb0")
    assert reply["status"] == 0, text
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("hosts", "outside\n")]
    assert not any(b"sh1bb0" in path.read_bytes() for path in ground.folder.rglob("*") if path.is_file())
    upper = ground.work / "upper"
    assert (upper / "moved" / "hosts").read_text() == "of the image\n"
    assert os.readlink(upper / "etc") == str(outside)


def test_it_can_neither_leave_its_root_nor_mount(ground: Ground) -> None:
    """chroot(2) would let it out."""
    _, text = ground.run("mkdir /x; chroot /x /bin/sh 2>&1; mount -t tmpfs x /x 2>&1")
    assert text.count("Operation not permitted") + text.count("permission denied") == 2


def test_the_next_step_stands_on_what_this_one_left(ground: Ground) -> None:
    """The root is used again, and what the layers say is what it holds."""
    reply, _ = ground.run("echo 1 > /a; ln /a /b; mkdir /d; rm /etc/hosts")
    first = ground.folder / "layers" / reply["made"]["id"].removeprefix("sha256:") / "tree"
    first.parent.mkdir()
    (ground.work / "upper").rename(first)
    (root,) = (ground.folder / "copies").iterdir()
    inode = root.stat().st_ino
    step = ground.step("echo 2 >> /a; cat /b; test ! -e /etc/hosts", lower=[str(ground.base), str(first)])
    with tempfile.TemporaryFile() as out:
        reply = ground.sandbox.run(step, out.fileno(), out.fileno()).wait()
    assert reply["status"] == 0
    assert ground.changes() == {"a": "file"}
    assert (first / "a").read_text() == "1\n"
    assert [path.stat().st_ino for path in (ground.folder / "copies").iterdir()] == [inode]


@pytest.mark.parametrize(
    ("change", "word"), [({"network": "none"}, "--network=none"), ({"insecure": True}, "--security=insecure")]
)
def test_what_it_cannot_promise_is_refused(ground: Ground, change: dict[str, Any], word: str) -> None:
    with pytest.raises(BackendError, match=word):
        ground.step("true", **change)


@pytest.mark.parametrize(
    "mount",
    [
        {"kind": "tmpfs", "target": "/t", "size": 4096},
        {"kind": "device", "target": "/dev/x", "source": "/dev/null"},
        {"kind": "bind", "target": "/t", "source": "/usr", "readonly": True},
    ],
    ids=["limit", "device", "folder"],
)
def test_mounts_that_it_cannot_give_are_refused(ground: Ground, mount: dict[str, Any]) -> None:
    reply, _ = ground.run("touch /ran", mount)
    assert reply["failed"][0] == "root"
    assert "without mount namespaces" in reply["failed"][2]
