"""What a step may not do: capabilities, the system call filter, secrets that nobody else sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.sandbox.stage import Stage

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the suite runs as root, and takes on the user itself")


def test_capabilities_are_dockers(stage: Stage) -> None:
    status = stage.sh("cat /proc/self/status")[1]
    assert "CapEff:\t00000000a80425fb" in status
    assert "CapBnd:\t00000000a80425fb" in status
    assert "CapInh:\t0000000000000000" in status


@pytest.mark.parametrize(
    "script",
    [
        "mount -t tmpfs none /bin",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/panic",
        "mknod /disk b 254 0 && cat /disk",
        "mknod /mem c 1 1 && cat /mem",
        "touch /sys/x",
        "ls /proc/1/root/",
        "kill -9 1 && sleep 1 && false",
        "cat /proc/kcore | head -c 1 | busybox grep -q .",
        "busybox unshare -r true",
        "busybox unshare -m true",
        "busybox nsenter -t 1 -m true",
        "busybox chroot / busybox mount -t proc proc /bin",
    ],
)
def test_what_it_may_not_do(stage: Stage, script: str) -> None:
    assert stage.sh(script)[0]["status"] != 0


def test_insecure_lifts_the_confinement(stage: Stage) -> None:
    script = "mount -t tmpfs none /bin && busybox unshare -m true && grep -E '^(CapEff|Seccomp):' /proc/self/status"
    assert stage.sh(script.replace("/bin ", "/mnt ").replace("grep", "busybox grep"))[0]["status"] != 0
    script = "mkdir /mnt; mount -t tmpfs none /mnt && unshare -m true && grep -E '^(CapEff|Seccomp):' /proc/self/status"
    for name in ("mkdir", "unshare", "grep"):
        (stage.base / "bin" / name).symlink_to("busybox")
    reply, out, _ = stage.sh(script, insecure=True)
    assert reply == {"status": 0}
    assert "Seccomp:\t0" in out
    assert stage.sh("grep Seccomp: /proc/self/status")[1] == "Seccomp:\t2\n"


def test_there_is_a_filter_for_every_machine() -> None:
    from img.sandbox import seccomp

    folder = Path(seccomp.__file__).parent / "filters"
    names = {path.stem for path in folder.iterdir()}
    assert names == {"x86_64", "aarch64", "armv7l", "i686", "riscv64", "ppc64le", "s390x"}
    for path in folder.iterdir():
        assert path.stat().st_size % 8 == 0
        assert 400 < path.stat().st_size // 8 < 4096  # BPF_MAXINSNS
    assert seccomp.program() == (folder / f"{os.uname().machine}.bpf").read_bytes()


def test_the_filter_does_not_set_no_new_privs(stage: Stage) -> None:
    """It would break every setuid program; tests/real/test_programs.py runs some."""
    status = stage.run(["cat", "/proc/self/status"], uid=1000, gid=1000)[1]
    assert "NoNewPrivs:\t0" in status
    assert "Seccomp:\t2" in status


def test_secrets_come_through_memory(stage: Stage) -> None:
    memory = os.memfd_create("t")
    os.pwrite(memory, b"firstsecond\xff", 0)
    mounts = [
        {"kind": "secret", "target": "/run/s", "file": True, "at": 5, "size": 7, "mode": 0o440, "uid": 1, "gid": 2},
    ]
    for name in ("stat", "od", "wc"):
        (stage.base / "bin" / name).symlink_to("busybox")
    script = "stat -c '%a %u %g' /run/s; od -An -c /run/s; echo $A $B; ! echo x > /run/s; ls /proc/self/fd | wc -l"
    env = [["A", 0, 5]]
    reply, out, upper = stage.sh(script, memory=memory, mounts=mounts, env_secrets=env)
    os.close(memory)
    assert reply == {"status": 0}
    lines = out.splitlines()
    assert lines[0] == "440 1 2"
    assert lines[1].split() == ["s", "e", "c", "o", "n", "d", "377"]
    assert lines[2] == "first"
    assert lines[-1] == "4"
    assert list(upper.iterdir()) == []


def test_a_secret_for_an_owner_that_is_none(stage: Stage) -> None:
    memory = os.memfd_create("t")
    mount = {
        "kind": "secret",
        "target": "/s",
        "file": True,
        "at": 0,
        "size": 0,
        "mode": 0o400,
        "uid": 1 << 32,
        "gid": 0,
    }
    reply = stage.sh("true", memory=memory, mounts=[mount])[0]
    os.close(memory)
    assert reply["failed"][0] == "root"


def test_what_is_left_of_mount_points_goes_and_nothing_else(tmp_path: Path) -> None:
    """Also when the step put links in their way."""
    from img_plugins.worker.ground import finish

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").touch()
    (outside / "d").mkdir()
    upper = tmp_path / "work" / "upper"
    for name in ("a/b", "full", "kept"):
        (upper / name).mkdir(parents=True)
    (upper / "a" / "b" / "point").touch()
    (upper / "full" / "point").write_text("written")
    (upper / "link").symlink_to(outside)
    (tmp_path / "work" / "own" / "overlay").mkdir(parents=True)
    absent = ["a/b/point", "link/f", "link/d", "full/point", "a/b", "full", "a", "link"]
    finish({"upper": str(upper), "work": str(tmp_path / "work" / "own"), "lower": [], "absent": absent})
    assert sorted(str(path.relative_to(upper)) for path in upper.rglob("*")) == ["full", "full/point", "kept", "link"]
    assert sorted(path.name for path in outside.iterdir()) == ["d", "f"]
    assert os.listdir(tmp_path / "work") == ["upper"]
