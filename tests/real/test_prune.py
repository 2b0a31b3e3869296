"""`img du` and `img prune` on stores of real builds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from img.ir.values import CacheDir
from tests.peers import builders, direct
from tests.peers.builders import ok
from tests.peers.direct import step
from tests.peers.traces import wait_for

pytestmark = pytest.mark.real


def agrees(rows: list[dict[str, Any]], store: Path) -> None:
    """What img counts is what the disk holds."""
    done = subprocess.run(["du", "-s", "-B1", str(store)], capture_output=True, text=True, check=True)
    total = int(done.stdout.split()[0])
    assert abs(sum(row["size"] for row in rows) - total) < 0.02 * total


def test_du_and_prune(box: direct.Source, store: Path, work: Path) -> None:
    cache = CacheDir("k", "/k")
    kept = step(box, "head -c 3000000 /dev/urandom > /kept", mounts=(cache,))
    loose = step(kept, "head -c 5000000 /dev/urandom > /loose; head -c 2000000 /dev/urandom > /k/f", mounts=(cache,))
    assert direct.build(kept, store, tags=["kept"]).ok
    assert direct.build(loose, store).ok

    _counted(store)

    running = direct.start(step(box, "sleep 79", mounts=(cache,)), store)
    wait_for("sleep 79")
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
    builders.run("skopeo", "inspect", f"oci:{store}")
    agrees(json.loads(ok(builders.img("du", "--json", root=store))), store)


def _counted(store: Path) -> None:
    """What `img du` says of a step that is kept, one that is not, and the cache mount of both."""

    def du(*words: str) -> str:
        return ok(builders.img("du", *words, root=store))

    assert du().splitlines()[0].split() == ["ID", "RECLAIMABLE", "SIZE", "DESCRIPTION"]
    rows = json.loads(du("--json"))
    agrees(rows, store)
    (mount,) = json.loads(du("--json", "-f", "type=exec.cachemount"))
    assert (mount["description"], mount["mutable"], mount["count"]) == ("cache mount /k (id k)", True, 2)
    assert [row["reclaimable"] for row in rows if row["description"].startswith("RUN head -c 5")] == [True]
    assert [row["reclaimable"] for row in rows if row["description"].startswith("RUN head -c 3")] == [False]
    assert "Total:" not in du("--filter", "type=regular")
    assert "Type:" in du("--verbose")


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
