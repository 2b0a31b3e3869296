"""Two builds, one digest; and what differs where they can't."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.peers import builders
from tests.peers.builders import img, ok

pytestmark = pytest.mark.real

EPOCH = 1_600_000_000


@pytest.mark.timeout(300)
def test_two_stores_and_two_users_give_one_digest(context: Path, work: Path) -> None:
    builders.readable_by_user(context)
    digests = []
    form = f"rewrite-timestamp=true,source-date-epoch={EPOCH}"
    for number, user in enumerate((False, False, True)):
        store = work / f"s{number}"
        store.mkdir()
        if user:
            shutil.chown(store, builders.USER, builders.USER)
        time.sleep(1.1)
        ok(img("build", "-o", f"type=image,name=r:1,{form}", str(context), root=store, user=user))
        digests.append(json.loads(ok(img("ls", "--json", root=store, user=user)))[0]["digest"])
    assert len(set(digests)) == 1
    config = json.loads(ok(img("inspect", "r:1", root=work / "s0")))
    assert config["created"].startswith("2020-09-13T12:26:40")
    ok(img("export", "-o", str(work / "fs.tar"), "r:1", root=work / "s0"))


@pytest.mark.timeout(300)
def test_twice_names_the_file_and_the_cause(busybox: str, work: Path) -> None:
    context = work / "c"
    context.mkdir()

    def twice(body: str, form: str = f"rewrite-timestamp=true,source-date-epoch={EPOCH}") -> tuple[int, str]:
        (context / "Dockerfile").write_text(f"FROM {busybox}\n{body}\n")
        done = img("build", "--twice", "-o", f"type=image,{form}", str(context), root=work / "s")
        return done.returncode, done.stdout + done.stderr

    status, said = twice("RUN echo same > /f && mkdir /d && touch /d/a /d/b")
    assert status == 0, said
    assert "Reproducible: both builds gave sha256:" in said
    status, said = twice("RUN echo same > /f", f"source-date-epoch={EPOCH}")
    assert status == 1
    assert "~ /f  (time 20" in said
    assert "likely cause: a time stamp: the file was written during the build" in said
    for body, cause in {
        "RUN date > /stamp": "a time stamp in its content",
        "RUN echo made by 1$RANDOM > /stamp": "a number in its content",
        "RUN head -c 16 /dev/urandom > /random": "its content",
        "RUN mktemp -p /var": "a name that is made anew each time",
    }.items():
        status, said = twice(body)
        assert status == 1, said
        assert f"likely cause: {cause}" in said, said
    status, said = twice("RUN echo same > /f", "rewrite-timestamp=false")
    assert status == 1
    assert "likely cause: a time stamp: set SOURCE_DATE_EPOCH" in said
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo same > /f\n")
    argv = ("build", "--twice", "-o", "type=image,rewrite-timestamp=true", str(context))
    done = img(*argv, root=work / "s", env={"SOURCE_DATE_EPOCH": "0"})
    assert "Reproducible: both builds gave" in done.stderr, done.stderr
    assert ok(img("ls", "-q", root=work / "s")) == ""
