"""Cache mounts of real steps: what they start from, who shares them, and what a killed build leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from img.ir.values import CacheDir, Sharing, Tmpfs
from tests.peers import direct
from tests.peers.direct import both, step
from tests.peers.traces import wait_for

pytestmark = pytest.mark.real


@both
def test_caches_last_and_start_from_other_files(box: direct.Source, store: Path, user: bool) -> None:
    start = step(box, "mkdir -p /seed/d && echo seeded > /seed/d/f && ln -s d/f /seed/l && chown -R 5:6 /seed")
    seeded = CacheDir("c", "/c", node=start, path="/seed")
    plain = CacheDir("c", "/c", mode=0o700, uid=33, gid=44)
    one = step(box, "cat /c/l; stat -c '%u:%g' /c /c/d/f; echo more > /c/more", mounts=(seeded,))
    two = step(box, "cat /c/more /c/l", mounts=(seeded,))
    three = step(box, "ls /c; stat -c '%a %u %g' /c; echo x > /c/x", mounts=(plain,))
    four = step(box, "cat /c/x; ! echo y > /c/y", mounts=(CacheDir("c", "/c", readonly=True),))
    logs = [direct.build(made, store, user=user) for made in (one, two, three, four)]
    assert [(answer.ok, answer.error) for answer in logs] == [(True, "")] * 4
    assert [answer.log.splitlines() for answer in logs[:3]] == [
        ["seeded", "5:6", "5:6"],
        ["more", "seeded"],
        ["700 33 44"],
    ]
    assert "x" in logs[3].log.splitlines()


@pytest.mark.parametrize("sharing", [Sharing.LOCKED, Sharing.PRIVATE, Sharing.SHARED])
def test_sharing_holds_across_processes(box: direct.Source, store: Path, sharing: Sharing) -> None:
    """Two builds that use one cache at the same time, in two processes."""
    cache = CacheDir("k", "/k", sharing)
    script = "echo $ME start >> /k/log; sleep 1; echo $ME end >> /k/log; cat /k/log"
    running = [direct.start(step(box, script, mounts=(cache,), env=(("ME", name),)), store) for name in ("a", "b")]
    logs = sorted(direct.finish(process).log.split() for process in running)
    if sharing is Sharing.PRIVATE:
        assert logs == [["a", "start", "a", "end"], ["b", "start", "b", "end"]]
    elif sharing is Sharing.LOCKED:
        last = max(logs, key=len)
        assert len(last) == 8
        assert last[0] == last[2]
        assert last[4] == last[6]
    else:
        assert max(logs, key=len)[1::2][:2] == ["start", "start"]
    names = sorted(os.listdir(store / "cache-mounts"))
    assert len(names) == (2 if sharing is Sharing.PRIVATE else 1)
    again = [direct.start(step(box, f"{script}; true {n}", mounts=(cache,)), store) for n in range(2)]
    assert all(direct.finish(process).ok for process in again)
    assert sorted(os.listdir(store / "cache-mounts")) == names


def test_a_cache_survives_a_killed_build(box: direct.Source, store: Path) -> None:
    cache = CacheDir("k", "/k", Sharing.LOCKED)
    process = direct.start(step(box, "echo kept > /k/f; sync; sleep 78", mounts=(cache,)), store)
    wait_for("sleep 78")
    direct.kill(process)
    answer = direct.build(step(box, "cat /k/f", mounts=(cache,)), store)
    assert (answer.error, answer.log) == ("", "kept\n")


def test_tmpfs(box: direct.Source, store: Path) -> None:
    script = "df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2; echo x > /t/x"
    answer = direct.build(step(box, script, mounts=(Tmpfs("/t", 2 << 20),)), store)
    assert (answer.error, answer.log) == ("", "2048\n")
