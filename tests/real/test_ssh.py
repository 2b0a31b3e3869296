"""Forwarded ssh agents and key files in real steps, as root and as an ordinary user."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from img.ir.values import Ssh
from tests.peers import direct
from tests.peers.direct import both, file, step
from tests.peers.traces import traces, upper_names, wait_for

pytestmark = pytest.mark.real

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
def test_a_forwarded_agent(perl: direct.Source, store: Path, agent: Path, lent: str, user: bool) -> None:
    script = "test $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0; stat -c '%a %u %g' $SSH_AUTH_SOCK; perl -e \"$ASK\""
    mounts = (Ssh("default", "/run/buildkit/ssh_agent.0", uid=1000, gid=1000),)
    made = step(perl, script, mounts=mounts, user="1000:1000", env=(("ASK", ASK),))
    answer = direct.build(made, store, user=user, ssh={"default": [lent]}, tags=["x"])
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
    wait_for("sleep 77")
    direct.kill(process)
    deadline = time.monotonic() + 30
    while subprocess.run(["pgrep", "-f", "img-ssh-"], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert list(Path(tempfile.gettempdir()).glob("img-ssh-*")) == []


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
    assert "not a private key that can be used" in problem(file(work / "noise", "noise"))
    assert "neither a socket nor a file" in problem(str(work))
