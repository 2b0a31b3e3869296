"""Real programs in steps under the system call filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from img.ir.values import Ssh
from tests.peers import direct
from tests.peers.direct import both, step

pytestmark = pytest.mark.real

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
def test_programs_work_under_the_filter(perl: direct.Source, store: Path, lent: str, user: bool) -> None:
    """Package scripts, users, compilers, threads; passwd shows that setuid programs still gain what they need."""
    made = step(perl, PROGRAMS, mounts=(Ssh("default", "/run/agent"),))
    answer = direct.build(made, store, user=user, ssh={"default": [lent]})
    assert answer.ok, (answer.error, answer.log[-3000:])
    words = answer.log.split()
    assert [word for word in words if word in WORDS] == WORDS, answer.log[-2000:]


WORDS = ["someone", "sysd", "gcc", "python", "node", "key-one", "someone"]
