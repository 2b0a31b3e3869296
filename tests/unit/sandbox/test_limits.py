"""Where limits are written, by machine: trees of cgroups that are folders here; what a watchdog sees; user-mode networks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from img.sandbox import cgroups, groups, limits, network, processes
from img.sandbox.cgroups import Tree
from img.sandbox.refused import Refused

WANTED = {"memory": 64 << 20, "cpu_quota": 50_000, "cpu_shares": 1024, "cpuset_cpus": "0-1", "pids": 9}


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with v2 alone, where this process is in /user/scope."""
    root = tmp_path / "cg"
    own = root / "user" / "scope"
    own.mkdir(parents=True)
    for folder in (root, root / "user", own):
        (folder / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("cpuset cpu memory pids\n")
    _machine(tmp_path, monkeypatch, f"1 1 0:1 / {root} rw - cgroup2 cgroup2 rw\n", "0::/user/scope\n")
    return own


def _machine(folder: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, own: str) -> None:
    (folder / "mountinfo").write_text(mounts)
    (folder / "own").write_text(own)
    monkeypatch.setattr(cgroups, "MOUNTS", str(folder / "mountinfo"))
    monkeypatch.setattr(cgroups, "OWN", str(folder / "own"))


def test_trees_of_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = (
        "30 1 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "31 1 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 1 0:28 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 1 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "34 1 0:30 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n"
    )
    own = "3:cpu,cpuacct:/a\n2:memory:/docker/abc/in\n1:name=systemd:/x\n0::/../elsewhere\n"
    _machine(tmp_path, monkeypatch, mounts, own)
    found = cgroups.trees()
    assert [(tree.point, tree.own()) for tree in found] == [
        ("/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a"),
        ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/in"),
        ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/systemd/x"),
        ("/sys/fs/cgroup/uni fied", "/sys/fs/cgroup/uni fied"),
    ]


def test_a_container_that_sees_another_part_of_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(tmp_path, monkeypatch, "", "0::/elsewhere\n")
    assert Tree("/cg", "/docker/x", frozenset(), True).own() == "/cg"


def test_what_is_written_for_each_version() -> None:
    lines = [(knob.file.split(" "), knob.text.split("|")) for knob in groups.knobs(WANTED)]
    written = [{files[at]: texts[at] for files, texts in lines if files[at]} for at in (0, 1)]
    assert written == [
        {
            "memory.limit_in_bytes": "67108864",
            "memory.memsw.limit_in_bytes": "134217728",
            "cpu.cfs_period_us": "100000",
            "cpu.cfs_quota_us": "50000",
            "cpu.shares": "1024",
            "cpuset.cpus": "0-1",
            "pids.max": "9",
        },
        {
            "memory.max": "67108864",
            "memory.swap.max": "67108864",
            "cpu.max": "50000 100000",
            "cpu.weight": "39",
            "cpuset.cpus": "0-1",
            "pids.max": "9",
        },
    ]
    swap = list(groups.knobs({"memory": 5, "memory_swap": -1}))[1]
    assert swap.text == "-1|max" and swap.flag == "--memory-swap"


def test_a_kernel_without_a_file_refuses_only_what_was_asked_for(
    unified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = os.mkdir

    def mkdir(path: str, mode: int = 0o777) -> None:
        made(path, mode)
        for name in ("cgroup.controllers", "memory.max", "pids.max"):
            Path(path, name).touch()

    monkeypatch.setattr(os, "mkdir", mkdir)
    group = groups.make({"memory": 64 << 20, "pids": 9})
    folder = Path(group.folders["memory"])
    assert folder.parent == unified and folder.name.startswith("img-step-")
    assert (folder / "memory.max").read_text() == "67108864" and (folder / "pids.max").read_text() == "9"
    with pytest.raises(groups.Unkept, match=r"--memory-swap: the kernel has no memory\.swap\.max"):
        groups.make({"memory": 64 << 20, "memory_swap": 64 << 20})
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (folder / "memory.peak").write_text("60000000\n")
    (folder / "pids.events").write_text("max 4\n")
    assert (group.killed(), group.peak(), group.refused()) == (2, 60_000_000, True)


def test_no_cgroups_no_processor_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(tmp_path, monkeypatch, "", "0::/\n")
    with pytest.raises(
        Refused, match="the limit --cpus can't be kept here: no cgroup here has the controller cpu"
    ) as caught:
        limits.begin({"resources": {"cpu_quota": 5000}})
    assert "Delegate=yes" in caught.value.remedy
    kept = limits.begin({"resources": {"memory": 1 << 30, "pids": 3, "timeout": 9.0}})
    assert kept.group is None and kept.pause() == limits.LOOK * 1000
    assert "no cgroup here" in kept.verdict(0)["watched"]


def test_a_watchdog_counts_processes_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(tmp_path, monkeypatch, "", "0::/\n")
    program = "import os,time; x = bytearray(b'x') * (80 << 20); [os.fork() or time.sleep(60) for _ in range(3)]"
    program += "; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program])
    try:
        end = time.monotonic() + 20
        while len(found := processes.descendants(child.pid)) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        family = [child.pid, *found]
        assert len(found) == 3 and processes.threads(family) == 4
        shared = processes.resident(family, 0)
        assert 80 << 20 < shared < 160 << 20, "shared pages count once"
        assert processes.resident(family, 1 << 40) > shared
        kept = limits.begin({"resources": {"pids": 2}})
        kept.below = child.pid
        assert kept.over() and not kept.over()
        assert kept.verdict(137)["broke"] == {"what": "pids", "limit": 2, "peak": 3}
    finally:
        for pid in [*processes.descendants(child.pid), child.pid]:
            os.kill(pid, 9)
        child.wait()


def test_time_alone_takes_no_watchdog() -> None:
    kept = limits.begin({"resources": {"timeout": 0.05}})
    pause = kept.pause()
    assert pause is not None and 0 < pause < 60 and not kept.over()
    time.sleep(0.06)
    assert kept.over() and kept.pause() is None
    assert kept.verdict(137) == {"broke": {"what": "timeout", "limit": 0.05}}


def test_a_step_asks_the_program_for_names() -> None:
    text = "nameserver 127.0.0.53\nsearch example.com\noptions ndots:2\n# nameserver x\n"
    assert network.resolver(text) == "nameserver 10.0.2.3\nsearch example.com\noptions ndots:2\n"


@pytest.mark.parametrize("program", ["/usr/bin/pasta", "/opt/slirp4netns"])
def test_programs_lead_to_no_loopback(program: str) -> None:
    words = network.arguments(program, "/w/netns", "/w/mark")
    assert words[0] == program and "/w/netns" in words
    if program.endswith("pasta"):
        assert "--no-map-gw" in words
        for flag in ("--tcp-ports", "--udp-ports", "--tcp-ns", "--udp-ns"):
            assert words[words.index(flag) + 1] == "none"
    else:
        assert "--disable-host-loopback" in words
