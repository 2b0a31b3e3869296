"""What a real step may do and is given: system calls, limits, network, cgroups, devices."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from img.ir.values import Confinement, Device, Limit, Network, Security
from tests.peers import direct
from tests.peers.direct import both, file, step
from tests.peers.traces import upper_names

pytestmark = pytest.mark.real

CALLS = r"""
$| = 1;
my %words = (1 => "EPERM", 38 => "ENOSYS");
sub try { my ($name, $n, @call) = @_; my $r = syscall($n, @call); my $e = $! + 0;
  print "$name ", $r != -1 ? "allowed" : $words{$e} || "error $e", "\n"; }
my ($p, $z) = ("\0" x 200, "x\0");
try("clone-newuser", 56, 0x10000000 | 17, 0, 0, 0, 0);
try("unshare-newuser", 272, 0x10000000);
try("clone3", 435, $p, 88);
try("mount", 165, $z, $z, $z, 0, 0);
try("bpf", 321, 0, $p, 120);
try("keyctl", 250, 0, -3, 0, 0, 0);
try("af_alg", 41, 38, 5, 0);
try("af_vsock", 41, 40, 1, 0);
try("perf_event_open", 298, $p, 0, -1, -1, 0);
try("userfaultfd", 323, 0);
try("open_by_handle_at", 304, -1, $p, 0);
try("kexec_load", 246, 0, 0, 0, 0);
try("init_module", 175, $p, 0, $z);
try("io_uring_setup", 425, 1, $p);
try("personality", 135, 0x0040000);
try("setns", 308, 0, 0);
try("ptrace", 101, 0, 0, 0, 0);
try("af_unix", 41, 1, 1, 0);
try("af_netlink", 41, 16, 3, 0);
try("xfs-uname", 135, 0xffffffff);
try("newest", 599);
"""
"""System calls by their number on x86_64."""


@both
def test_the_seccomp_filter(perl: direct.Source, store: Path, user: bool) -> None:
    made = step(perl, 'perl -e "$CALLS"', env=(("CALLS", CALLS),))
    answer = direct.build(made, store, user=user)
    assert answer.ok, (answer.error, answer.log)
    found = dict(line.split(" ", 1) for line in answer.log.splitlines())
    refused = {name for name, result in found.items() if result == "EPERM"}
    assert refused == {
        "clone-newuser",
        "unshare-newuser",
        "mount",
        "bpf",
        "keyctl",
        "af_alg",
        "af_vsock",
        "perf_event_open",
        "userfaultfd",
        "open_by_handle_at",
        "kexec_load",
        "init_module",
        "io_uring_setup",
        "setns",
    }
    assert {name for name, result in found.items() if result == "ENOSYS"} == {"clone3", "newest", "personality"}
    assert {name for name, result in found.items() if result == "allowed"} == {
        "ptrace",
        "af_unix",
        "af_netlink",
        "xfs-uname",
    }


@both
def test_security_insecure(perl: direct.Source, store: Path, user: bool) -> None:
    """All capabilities that the builder has, no filter, nothing hidden; a mount is possible."""
    script = (
        "grep -E '^(CapEff|Seccomp):' /proc/self/status\n"
        "perl -e '@w = map { $_ . chr(0) } qw(none /mnt tmpfs); print syscall(165, @w, 0, 0) ? $! : q(mounted), chr(10)'\n"
        "test \"$(stat -c %F /proc/timer_list)\" = 'regular empty file' && echo seen\n"
        "unshare -m true && echo unshared"
    )
    made = step(perl, script, confinement=Confinement(security=Security.INSECURE))
    answer = direct.build(made, store, user=user)
    assert answer.ok, (answer.error, answer.log)
    lines = answer.log.splitlines()
    assert lines[1] == "Seccomp:\t0"
    assert int(lines[0].split()[1], 16) & (1 << 21)
    assert {"mounted", "unshared", "seen"} <= set(lines), lines


@both
def test_limits_hosts_shm_and_network(box: direct.Source, store: Path, user: bool) -> None:
    wanted = Confinement(
        network=Network.NONE,
        hosts=(("db", "10.9.8.7"), ("six", "::5")),
        limits=(Limit("nofile", 123, 456), Limit("core", 0, 0)),
        shm_size=3 << 20,
        hostname="there",
    )
    script = (
        "ulimit -Sn; ulimit -Hn; ulimit -c; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; hostname\n"
        "grep -c -E '^(10.9.8.7.db|::5.six)$' /etc/hosts; grep -c : /proc/net/dev; grep -c there /etc/hosts"
    )
    answer = direct.build(step(box, script, confinement=wanted), store, user=user)
    assert answer.ok, (answer.error, answer.log)
    assert answer.log.split() == ["123", "456", "0", "3072", "there", "2", "1", "1"]
    host = direct.build(step(box, "grep -c : /proc/net/dev", confinement=Confinement(network=Network.HOST)), store)
    assert int(host.log) == len(os.listdir("/sys/class/net"))


def test_limits_that_cannot_be(box: direct.Source, store: Path) -> None:
    over = Confinement(limits=(Limit("nofile", 1 << 40, 1 << 40),))
    answer = direct.build(step(box, "true", confinement=over), store)
    assert not answer.ok
    assert "limits" in answer.error


def test_a_step_in_a_cgroup(box: direct.Source, store: Path) -> None:
    name = f"img-test-{os.getpid()}"
    try:
        answer = direct.build(step(box, "cat /proc/self/cgroup"), store, settings={"cgroup_parent": f"/{name}"})
        assert answer.ok, answer.error
        assert f":/{name}" in answer.log
        assert f"pids:/{name}" in answer.log or f"0::/{name}" in answer.log
    finally:
        for folder in [*Path("/sys/fs/cgroup").glob(f"*/{name}"), *Path("/sys/fs/cgroup").glob(name)]:
            folder.rmdir()


def test_a_cgroup_that_the_user_may_not_use(box: direct.Source, store: Path) -> None:
    answer = direct.build(step(box, "true"), store, user=True, settings={"cgroup_parent": "/nobody-may"})
    assert (answer.ok, answer.kind) == (False, "BackendError")
    assert "cgroup" in answer.error
    assert "Permission denied" in answer.error


SPEC = {
    "cdiVersion": "0.6.0",
    "kind": "vendor.example/thing",
    "containerEdits": {"env": ["THING=all"]},
    "devices": [
        {
            "name": "one",
            "annotations": {"org.mobyproject.buildkit.device.class": "things"},
            "containerEdits": {
                "env": ["ONE=1"],
                "deviceNodes": [{"path": "/dev/thing/one", "hostPath": "/dev/zero"}],
                "mounts": [{"hostPath": "/etc/hostname", "containerPath": "/etc/thing/name", "options": ["ro"]}],
            },
        },
        {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/true"}]}},
    ],
}


@both
def test_devices_by_cdi(box: direct.Source, store: Path, work: Path, user: bool) -> None:
    (work / "cdi").mkdir()
    file(work / "cdi" / "thing.json", json.dumps(SPEC))
    settings = {"cdi": str(work / "cdi"), "allow": "device=vendor.example/thing=one device=things device=nope/x"}
    script = (
        "head -c 3 /dev/thing/one | od -An -tx1; echo $ONE $THING; cat /etc/thing/name\n"
        "! sh -c 'echo x > /etc/thing/name' 2> /dev/null"
    )

    def run(name: str, required: bool = True, **how: str) -> direct.Answer:
        made = step(box, script, devices=(Device(name, required),))
        return direct.build(made, store, user=user, settings={**settings, **how}, no_cache=True)

    for name in ("vendor.example/thing=one", "things"):
        answer = run(name)
        assert answer.ok, (answer.error, answer.log)
        assert answer.log.split()[:5] == ["00", "00", "00", "1", "all"]
        assert socket.gethostname() in answer.log or Path("/etc/hostname").read_text() in answer.log
    assert "was not granted" in run("vendor.example/thing=hooked").error
    assert "no device 'nope/x'" in run("nope/x").error
    assert "hooks" in run("vendor.example/thing=hooked", allow="device").error
    assert "StepStarted" in run("nope/x", required=False).events
    assert {name for name in upper_names(store) if name.startswith(("dev", "etc/thing"))} == set()
