"""Secrets of real steps, as root and as an ordinary user: where they are seen, and that nothing is left of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from img.ir.nodes import Mkdir, Scratch, Write
from img.ir.values import Bind, Secret
from tests.peers import direct
from tests.peers.direct import both, file, step
from tests.peers.traces import SECRET, traces, upper_names, wait_for

pytestmark = pytest.mark.real


@both
def test_a_secret_as_file_and_variable(box: direct.Source, store: Path, work: Path, user: bool) -> None:
    (work / "token").write_text(SECRET)
    mounts = (
        Secret("file", "/run/secrets/file", uid=33, gid=33, mode=0o440),
        Secret("run", "/deep/er/run", env="RUN"),
        Secret("val", env="VAL", required=True),
        Secret("none", "/nothing", env="NOTHING"),
    )
    script = (
        "stat -c '%a %u %g' /run/secrets/file; stat -c %a /deep/er/run; wc -c < /run/secrets/file\n"
        "test $(md5sum < /run/secrets/file | cut -c-32) = $SUM; test $(cat /deep/er/run) = r-$(echo $VAL | cut -c-4)\n"
        "test $RUN = r-hush; ! test -e /nothing; echo ${NOTHING-unset}\n"
        "! sh -c 'echo x > /deep/er/run' 2> /dev/null; echo fine\n"
        "df /run/secrets/file | tail -1 | cut -d' ' -f1"
    )
    env = (("SUM", hashlib.md5(SECRET.encode()).hexdigest()),)
    secrets = {
        "file": ("file", str(work / "token")),
        "run": ("command", "printf r-; printf hush; echo noise >&2"),
        "val": ("value", SECRET),
    }
    (work / "token").chmod(0o644)
    made = step(box, script, mounts=mounts, env=env)
    answer = direct.build(made, store, user=user, secrets=secrets, tags=["x"])
    assert answer.ok, (answer.error, answer.log)
    expected = ["440 33 33", "400", str(len(SECRET)), "unset"]
    lines = answer.log.split("\n")
    assert lines[:4] == expected
    assert "fine" in lines
    assert lines[-2] == "tmpfs"
    assert upper_names(store) == set()
    assert SECRET not in answer.events
    assert traces(store) == []


@both
def test_a_secret_does_not_show_anywhere_while_the_step_runs(
    box: direct.Source, store: Path, work: Path, user: bool
) -> None:
    """Neither in a file of the store, nor in anybody's arguments or environment but the step's own."""
    mounts = (Secret("s", "/s"), Secret("s", env="S"))
    process = direct.start(
        step(box, "echo ready; sleep 3.01; test $S = $(cat /s)", mounts=mounts),
        store,
        user=user,
        secrets={"s": ("file", file(work / "s", SECRET))},
    )
    wait_for("sleep 3.01")
    assert traces(store) == []
    holders = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                if SECRET.encode() in Path(f"/proc/{pid}/{name}").read_bytes():
                    holders.append((pid, name, Path(f"/proc/{pid}/comm").read_text().strip()))
            except OSError:
                continue
    assert {(name, comm) for _, name, comm in holders} <= {("environ", "sh"), ("environ", "sleep")}
    assert direct.finish(process).ok


@both
def test_a_secret_inside_a_read_only_mount_and_behind_a_link(
    box: direct.Source, store: Path, work: Path, user: bool
) -> None:
    """Mount points never stay: not in a bind mount, not where the image has a link or took the folder away."""
    base = step(box, "mkdir -p /real /gone/x /opaque/y; ln -s /real /alias; rm -r /gone; rm -r /opaque; mkdir /opaque")
    sources = Write(Mkdir(Scratch(), "/src"), "/src/main.c", b"int x;")
    mounts = (
        Bind(sources, "/src", "/src"),
        Secret("s", "/src/.npmrc"),
        Secret("s", "/alias/deep/s"),
        Secret("s", "/gone/x/s"),
        Secret("s", "/opaque/y/s"),
        Secret("s", "/etc/conf.d/s"),
    )
    script = "cat /src/.npmrc /real/deep/s /gone/x/s /opaque/y/s /etc/conf.d/s | md5sum; ls /src; echo new > /made"
    made = step(base, script, mounts=mounts)
    answer = direct.build(made, store, user=user, secrets={"s": ("file", file(work / "s", SECRET))}, tags=["x"])
    assert answer.ok, (answer.error, answer.log)
    assert "main.c" in answer.log
    look = step(
        made, "find / -xdev -name s -o -xdev -name .npmrc; ls -d /gone /opaque/y /real/deep /etc/conf.d || true"
    )
    answer = direct.build(look, store, user=user)
    lines = [line for line in answer.log.splitlines() if "No such file" not in line]
    assert lines == [], answer.log
    assert traces(store) == []


@both
def test_what_is_wrong_with_a_secret(box: direct.Source, store: Path, work: Path, user: bool) -> None:
    wanted = step(box, "cat /run/secrets/s", mounts=(Secret("s", "/run/secrets/s", env="S", required=True),))

    def problem(secrets: dict[str, tuple[str, str]]) -> str:
        answer = direct.build(wanted, store, user=user, secrets=secrets)
        assert not answer.ok
        assert SECRET not in answer.events + answer.error + answer.hint
        return answer.error

    assert problem({}) == "the step needs the secret 's', which the build was not given"
    assert "No such file" in problem({"s": ("file", "/nowhere/at/all")})
    assert "larger than 500 KiB" in problem({"s": ("file", file(work / "big", "x" * (500 * 1024 + 1)))})
    assert "larger than 500 KiB" in problem({"s": ("command", f"echo {SECRET} >&2; cat /dev/zero")})
    assert "exit code 3" in problem({"s": ("command", f"echo {SECRET}; echo {SECRET} >&2; exit 3")})
    assert "zero byte" in problem({"s": ("command", "printf 'a\\0b'")})
    largest = {"s": ("file", file(work / "most", "x" * (500 * 1024)))}
    fits = step(box, "wc -c < /run/secrets/s", mounts=(Secret("s", "/run/secrets/s"),))
    assert direct.build(fits, store, user=user, secrets=largest).log == f"{500 * 1024}\n"


def test_another_secret_changes_no_key(box: direct.Source, store: Path, work: Path) -> None:
    wanted = step(box, "cat /s > /dev/null; date +%N > /when", mounts=(Secret("s", "/s"),))
    direct.build(wanted, store, secrets={"s": ("value", "one")})
    answer = direct.build(wanted, store, secrets={"s": ("value", "two")})
    assert "StepStarted" not in answer.events
    assert "StepCached" in answer.events
