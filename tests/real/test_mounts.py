"""What a RUN step is given at run time, by real steps as root and as an ordinary user."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from img.ir.nodes import Mkdir, Scratch, Write
from img.ir.values import Bind, CacheDir, Confinement, Device, Limit, Network, Secret, Security, Sharing, Ssh, Tmpfs
from tests.peers import builders, direct
from tests.peers.direct import step

pytestmark = pytest.mark.real

SECRET = "hush-4242-hush"
"""Looked for in every file that a build leaves behind."""

both = pytest.mark.parametrize("user", [False, True], ids=["root", "user"])


@pytest.fixture
def store(work: Path) -> Path:
    folder = work / "store"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def box(busybox: str) -> direct.Source:
    return direct.base(busybox)


@pytest.fixture
def perl(debian: str) -> direct.Source:
    """A base with perl, which can make any system call."""
    return direct.base(debian)


def traces(folder: Path, text: str = SECRET) -> list[str]:
    """Files below `folder` that hold the text."""
    found = subprocess.run(["grep", "-rlaF", text, str(folder)], capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.split()


def upper_names(store: Path) -> set[str]:
    """Every path that the steps on `store` left in layers made here."""
    found: set[str] = set()
    for tree in (store / "layers").glob("*/tree"):
        if not (tree / "bin").exists():
            found |= {str(path.relative_to(tree)) for path in tree.rglob("*")}
    return found


# --- secrets -------------------------------------------------------------------------------------------------------


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
    import hashlib

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
        secrets={"s": ("file", _file(work / "s", SECRET))},
    )
    deadline = time.monotonic() + 60
    while not (
        steps := subprocess.run(["pgrep", "-xf", "sleep 3.01"], capture_output=True, text=True, check=False).stdout
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert traces(store) == []
    holders = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                if SECRET.encode() in Path(f"/proc/{pid}/{name}").read_bytes():
                    holders.append((pid, name, Path(f"/proc/{pid}/comm").read_text().strip()))
            except OSError:
                continue
    assert steps
    assert {(name, comm) for _, name, comm in holders} <= {("environ", "sh"), ("environ", "sleep")}
    assert direct.finish(process).ok


def _file(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


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
    answer = direct.build(made, store, user=user, secrets={"s": ("file", _file(work / "s", SECRET))}, tags=["x"])
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
    assert "larger than 500 KiB" in problem({"s": ("file", _file(work / "big", "x" * (500 * 1024 + 1)))})
    assert "larger than 500 KiB" in problem({"s": ("command", f"echo {SECRET} >&2; cat /dev/zero")})
    assert "exit code 3" in problem({"s": ("command", f"echo {SECRET}; echo {SECRET} >&2; exit 3")})
    assert "zero byte" in problem({"s": ("command", "printf 'a\\0b'")})
    largest = {"s": ("file", _file(work / "most", "x" * (500 * 1024)))}
    fits = step(box, "wc -c < /run/secrets/s", mounts=(Secret("s", "/run/secrets/s"),))
    assert direct.build(fits, store, user=user, secrets=largest).log == f"{500 * 1024}\n"


def test_another_secret_changes_no_key(box: direct.Source, store: Path, work: Path) -> None:
    wanted = step(box, "cat /s > /dev/null; date +%N > /when", mounts=(Secret("s", "/s"),))
    direct.build(wanted, store, secrets={"s": ("value", "one")})
    answer = direct.build(wanted, store, secrets={"s": ("value", "two")})
    assert "StepStarted" not in answer.events
    assert "StepCached" in answer.events


# --- ssh -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(work: Path) -> Path:
    folder = work / "keys"
    folder.mkdir()
    for name, phrase in (("one", ""), ("two", ""), ("locked", "pass")):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-C", f"key-{name}", "-f", str(folder / name)]
        subprocess.run(argv, check=True)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def agent(keys: Path) -> Iterator[Path]:
    """A running ssh-agent with the first key, owned by whoever asks (see `owned`)."""
    folder = Path(tempfile.mkdtemp(prefix="agent-", dir="/tmp"))
    place = folder / "sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
    while not place.exists():
        time.sleep(0.01)
    (keys / "one").chmod(0o600)
    subprocess.run(["ssh-add", "-q", str(keys / "one")], env={"SSH_AUTH_SOCK": str(place)}, check=True)
    yield place
    process.terminate()
    process.wait()
    shutil.rmtree(folder)


def owned(agent: Path, user: bool) -> str:
    """Give a test's agent to the ordinary user by way of a relay, as agents serve their own user only."""
    if not user:
        return str(agent)
    from img_plugins.worker.relay import Relay

    place = f"{agent.parent}/for-user"
    Relay(place, str(agent))
    agent.parent.chmod(0o755)
    shutil.chown(place, builders.USER, builders.USER)
    return place


ASK = r"""
use IO::Socket::UNIX; use strict;
sub ask { my ($s, $m) = @_; $s->print(pack("N", length $m) . $m); $s->flush;
  read($s, my $h, 4) == 4 or return "closed"; read($s, my $b, unpack("N", $h)); return $b; }
my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die "connect: $!";
my $b = ask($s, pack("C", 11)); my ($t, $n) = unpack("CN", $b); print "type $t keys $n\n";
my $rest = substr($b, 5);
for (1..$n) { my $l = unpack("N", $rest); my $blob = substr($rest, 4, $l); $rest = substr($rest, 4 + $l);
  $l = unpack("N", $rest); print substr($rest, 4, $l), "\n"; $rest = substr($rest, 4 + $l);
  my $sig = ask($s, pack("C", 13) . pack("N/a*", $blob) . pack("N/a*", "data") . pack("N", 0));
  print "signed ", unpack("C", $sig), "\n"; }
for my $m (19, 22, 18) { my $r = ask($s, pack("C", $m) . pack("N/a*", "x")); print "message $m gives ", unpack("C", $r), "\n"; }
"""
"""Lists the agent's keys, signs with each, then tries to remove all keys, to lock it and to remove one."""


@both
def test_a_forwarded_agent(perl: direct.Source, store: Path, agent: Path, user: bool) -> None:
    script = "test $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0; stat -c '%a %u %g' $SSH_AUTH_SOCK; perl -e \"$ASK\""
    mounts = (Ssh("default", "/run/buildkit/ssh_agent.0", uid=1000, gid=1000),)
    made = step(perl, script, mounts=mounts, user="1000:1000", env=(("ASK", ASK),))
    answer = direct.build(made, store, user=user, ssh={"default": [owned(agent, user)]}, tags=["x"])
    assert answer.ok, (answer.error, answer.log)
    assert answer.log.splitlines() == [
        "600 1000 1000",
        "type 12 keys 1",
        "key-one",
        "signed 14",
        "message 19 gives 5",
        "message 22 gives 5",
        "message 18 gives 5",
    ]
    assert "run" not in upper_names(store)
    left = subprocess.run(
        ["ssh-add", "-l"], env={"SSH_AUTH_SOCK": str(agent)}, capture_output=True, text=True, check=False
    )
    assert "key-one" in left.stdout


@both
def test_key_files(perl: direct.Source, store: Path, keys: Path, user: bool) -> None:
    made = step(perl, 'perl -e "$ASK"', mounts=(Ssh("deploy", "/agent"),), env=(("ASK", ASK),))
    answer = direct.build(made, store, user=user, ssh={"deploy": [str(keys / "one"), str(keys / "two")]})
    assert answer.ok, (answer.error, answer.log)
    assert answer.log.splitlines()[:5] == ["type 12 keys 2", "key-one", "signed 14", "key-two", "signed 14"]
    assert "message 19 gives 5" in answer.log
    assert subprocess.run(["pgrep", "-f", "img-ssh-"], capture_output=True, check=False).returncode == 1
    assert list(Path(tempfile.gettempdir()).glob("img-ssh-*")) == []
    private = (keys / "one").read_text().splitlines()[2]
    assert traces(store, private) == []


def test_a_killed_build_leaves_no_agent(box: direct.Source, store: Path, keys: Path) -> None:
    process = direct.start(
        step(box, "sleep 77", mounts=(Ssh("default", "/agent"),)), store, ssh={"default": [str(keys / "one")]}
    )
    _wait_for("sleep 77")
    direct.kill(process)
    deadline = time.monotonic() + 30
    while subprocess.run(["pgrep", "-f", "img-ssh-"], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert list(Path(tempfile.gettempdir()).glob("img-ssh-*")) == []


def _wait_for(command: str) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(["pgrep", "-x", "-f", command], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_wrong_with_ssh(box: direct.Source, store: Path, keys: Path, work: Path) -> None:
    required = step(box, "true", mounts=(Ssh("default", "/agent", required=True),))
    optional = step(box, "test ! -e /agent", mounts=(Ssh("default", "/agent"),))

    def problem(*paths: str) -> str:
        answer = direct.build(required, store, ssh={"default": paths} if paths else {})
        assert not answer.ok
        return answer.error

    assert direct.build(optional, store).ok
    assert problem() == "the step needs the ssh agent 'default', which the build was not given"
    assert "No such file" in problem("/nowhere")
    assert "not a private key that can be used" in problem(str(keys / "locked"))
    assert "not a private key that can be used" in problem(_file(work / "noise", "noise"))
    assert "neither a socket nor a file" in problem(str(work))


# --- cache mounts --------------------------------------------------------------------------------------------------


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
    names = os.listdir(store / "cache-mounts")
    assert len(names) == (2 if sharing is Sharing.PRIVATE else 1)
    again = [direct.start(step(box, f"{script}; true {n}", mounts=(cache,)), store) for n in range(2)]
    assert all(direct.finish(process).ok for process in again)
    assert os.listdir(store / "cache-mounts").sort() == names.sort()


def test_a_cache_survives_a_killed_build(box: direct.Source, store: Path) -> None:
    cache = CacheDir("k", "/k", Sharing.LOCKED)
    process = direct.start(step(box, "echo kept > /k/f; sync; sleep 78", mounts=(cache,)), store)
    _wait_for("sleep 78")
    direct.kill(process)
    answer = direct.build(step(box, "cat /k/f", mounts=(cache,)), store)
    assert (answer.error, answer.log) == ("", "kept\n")


def test_du_and_prune(box: direct.Source, store: Path, work: Path) -> None:
    cache = CacheDir("k", "/k")
    kept = step(box, "head -c 3000000 /dev/urandom > /kept", mounts=(cache,))
    loose = step(kept, "head -c 5000000 /dev/urandom > /loose; head -c 2000000 /dev/urandom > /k/f", mounts=(cache,))
    assert direct.build(kept, store, tags=["kept"]).ok
    assert direct.build(loose, store).ok

    def img(*words: str) -> str:
        done = builders.img(*words, root=store)
        assert done.returncode == 0, done.stderr
        return done.stdout

    import json

    table = img("du")
    assert table.splitlines()[0].split() == ["ID", "RECLAIMABLE", "SIZE", "DESCRIPTION"]
    rows = json.loads(img("du", "--json"))
    total = int(
        subprocess.run(["du", "-s", "-B1", str(store)], capture_output=True, text=True, check=False).stdout.split()[0]
    )
    assert abs(sum(row["size"] for row in rows) - total) < 0.02 * total
    (mount,) = json.loads(img("du", "--json", "-f", "type=exec.cachemount"))
    assert (mount["description"], mount["mutable"], mount["count"]) == ("cache mount /k (id k)", True, 2)
    assert [row["reclaimable"] for row in rows if row["description"].startswith("RUN head -c 5")] == [True]
    assert [row["reclaimable"] for row in rows if row["description"].startswith("RUN head -c 3")] == [False]
    assert "Total:" not in img("du", "--filter", "type=regular")
    assert "Type:" in img("du", "--verbose")

    running = direct.start(step(box, "sleep 79", mounts=(cache,)), store)
    _wait_for("sleep 79")
    done = builders.img("prune", root=store)
    assert done.returncode == 0, done.stderr
    assert "a build is running" in done.stderr
    assert len(os.listdir(store / "cache-mounts")) == 1
    direct.kill(running)

    done = builders.img("prune", root=store)
    assert done.stderr == ""
    assert re.search(r"Reclaimed:\s+[78]\.\d+MB", done.stdout), done.stdout
    assert os.listdir(store / "cache-mounts") == []
    again = direct.build(kept, store, tags=["kept"])
    assert again.ok, again.error
    assert "StepStarted" not in again.events
    assert direct.build(loose, store).ok
    more = builders.img("prune", "--all", root=store)
    assert more.returncode == 0, more.stderr
    assert list((store / "layers").iterdir()) == []
    assert direct.build(step(kept, "test -s /kept"), store).ok
    spec = f"oci:{store}:kept"
    inspected = subprocess.run(["skopeo", "inspect", f"oci:{store}"], capture_output=True, text=True, check=False)
    assert inspected.returncode == 0, (spec, inspected.stderr)
    rows = json.loads(img("du", "--json"))
    total = int(
        subprocess.run(["du", "-s", "-B1", str(store)], capture_output=True, text=True, check=False).stdout.split()[0]
    )
    assert abs(sum(row["size"] for row in rows) - total) < 0.02 * total


def test_a_build_after_prune_has_all_it_needs(busybox: str, store: Path, work: Path) -> None:
    """Pins, plans and recipes that named what is gone are gone too: bases are pulled, steps run, copies copy again."""
    context = work / "c"
    context.mkdir()
    (context / "f").write_text("content")
    (context / "Dockerfile").write_text(
        f"FROM {busybox} AS a\nCOPY f /f\nRUN cat /f > /g\nFROM {busybox}\nCOPY --from=a /f /g /\nRUN cat /f /g > /h\n"
    )

    def build(*words: str) -> list[str]:
        done = builders.img("build", "--progress", "json", *words, str(context), root=store)
        assert done.returncode == 0, done.stderr
        return builders.ran(done)

    def prune(*words: str) -> None:
        done = builders.img("prune", *words, root=store)
        assert (done.returncode, done.stderr) == (0, "")

    assert len(build()) == 4
    prune()
    assert os.listdir(store / "layers") == os.listdir(store / "blobs" / "sha256") == []
    assert len(build("-t", "kept")) == 4
    for words in ((), ("--all",)):
        prune(*words)
        assert build("-t", "kept") == []
    (context / "f").write_text("other")
    assert len(build("-t", "kept")) == 4
    prune("--filter", "type=source.local")
    assert build("-t", "kept") == []


def test_prune_as_an_ordinary_user(box: direct.Source, store: Path) -> None:
    """Trees and caches that belong to ids of the user's range."""
    shutil.chown(store, builders.USER, builders.USER)
    cache = CacheDir("k", "/k", mode=0o700, uid=33, gid=33)
    made = step(box, "mkdir -m 700 /d; echo x > /d/f; chown -R 33 /d; echo y > /k/f", mounts=(cache,))
    assert direct.build(made, store, user=True).ok
    done = builders.img("prune", "--filter", "type=exec.cachemount", root=store, user=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(store / "cache-mounts") == []
    done = builders.img("prune", "--all", "--force", root=store, user=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((store / "layers").iterdir()) == []


# --- confinement ---------------------------------------------------------------------------------------------------

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


# --- devices -------------------------------------------------------------------------------------------------------

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
    import json

    (work / "cdi").mkdir()
    _file(work / "cdi" / "thing.json", json.dumps(SPEC))
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


def test_tmpfs(box: direct.Source, store: Path) -> None:
    script = "df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2; echo x > /t/x"
    answer = direct.build(step(box, script, mounts=(Tmpfs("/t", 2 << 20),)), store)
    assert (answer.error, answer.log) == ("", "2048\n")


# --- real programs under the filter --------------------------------------------------------------------------------

PROGRAMS = """
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
apt-get install -q -y --no-install-recommends gcc libc6-dev python3-minimal nodejs openssh-client systemd >/dev/null
useradd -m someone && su someone -c 'id -un'
printf 'u sysd - - /nonexistent\\n' > /usr/lib/sysusers.d/x.conf && systemd-sysusers && getent passwd sysd | cut -d: -f1
echo 'int main(void){return 0;}' > /tmp/a.c && gcc -o /tmp/a /tmp/a.c && /tmp/a && echo gcc
python3 -c 'import threading, subprocess; print("python", subprocess.run(["true"]).returncode)'
node -e 'require("fs").promises.readFile("/etc/hostname").catch(() => 0).then(() => console.log("node"))'
ssh-add -l | cut -d' ' -f3
setpriv --reuid=someone --clear-groups sh -c 'passwd -S' | cut -d' ' -f1
"""


@pytest.mark.timeout(600)
@both
def test_programs_work_under_the_filter(perl: direct.Source, store: Path, agent: Path, user: bool) -> None:
    """Package scripts, users, compilers, threads; passwd shows that setuid programs still gain what they need."""
    made = step(perl, PROGRAMS, mounts=(Ssh("default", "/run/agent"),))
    answer = direct.build(made, store, user=user, ssh={"default": [owned(agent, user)]})
    assert answer.ok, (answer.error, answer.log[-3000:])
    words = answer.log.split()
    assert [word for word in words if word in WORDS] == WORDS, answer.log[-2000:]


WORDS = ["someone", "sysd", "gcc", "python", "node", "key-one", "someone"]
