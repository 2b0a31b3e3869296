"""``store_max``: one number that builds keep, whatever they do."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from img.files.disk import measure
from tests.peers.builders import img

pytestmark = pytest.mark.real

MIB = 1 << 20
MOST, LAYER = 32, 3
"""MiB of the store, and of the largest layer."""


class Watch:
    """The largest size that a store had, seen many times a second."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._over = threading.Event()
        self.most = 0

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self.most = max(self.most, size(self._store))
            time.sleep(0.01)


def size(store: Path) -> int:
    return measure([os.fspath(store)])[0] if store.exists() else 0


def write(folder: Path, base: str, number: int, chance: random.Random) -> None:
    """A build of a few steps that write up to `LAYER` MiB of noise each, some of them shared with other builds."""
    rows = [f"FROM {base}"]
    for _ in range(chance.randint(1, 3)):
        mib, which = chance.randint(1, LAYER), chance.choice(["shared", f"own{number}"])
        rows.append(f"RUN --mount=type=cache,target=/c echo {which} {mib} && head -c {mib}m /dev/urandom > /f{mib}")
    (folder / "Dockerfile").write_text("\n".join(rows) + "\n")


@pytest.mark.timeout(600)
def test_twenty_random_builds_never_leave_the_number(work: Path, busybox: str) -> None:
    store, folder = work / "store", work / "context"
    folder.mkdir()
    chance = random.Random(4)
    with Watch(store) as watch:
        for number in range(20):
            write(folder, busybox, number, chance)
            words = ["-t", "app", "-o", f"type=oci,dest={work}/out.tar"] if number % 3 else ["-t", "app"]
            done = img("build", "--store-max", f"{MOST}m", *words, str(folder), root=store)
            assert done.returncode == 0, done.stderr
            assert size(store) <= MOST * MIB
    listed = sum(row["size"] for row in json.loads(img("du", "--json", root=store).stdout))
    assert abs(listed - size(store)) <= size(store) / 50
    assert watch.most <= (MOST + 3 * LAYER) * MIB  # the layers that are packed side by side
    done = img("build", "--store-max", f"{MOST}m", "-t", "app", str(folder), root=store)
    assert "DONE" not in done.stderr, "the newest build is still cached"
    assert img("verify", "app", root=store).returncode == 0


def test_a_build_that_needs_more_than_the_number_says_so(work: Path, busybox: str) -> None:
    folder = work / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN head -c 30m /dev/urandom > /f\n")
    done = img("build", "-t", "app", str(folder), root=work / "s", env={"IMG_STORE_MAX": "20m"})
    assert done.returncode == 1
    assert "error: the store may have 20 MiB (store_max), and what is in use takes " in done.stderr
    assert "Dockerfile:2" in done.stderr
    assert img("prune", root=work / "s").returncode == 0


def test_a_step_that_fills_the_disk_is_stopped(work: Path, busybox: str) -> None:
    folder = work / "context"
    folder.mkdir()
    step = "while true; do head -c 4m /dev/urandom; sleep 0.2; done > /f"
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN {step}\n")
    done = img("build", "--store-max", "24m", "-t", "app", str(folder), root=work / "s", timeout=60)
    assert done.returncode == 1
    assert "error: the store may have 24 MiB (store_max)" in done.stderr
    assert size(work / "s") < 10 * MIB


def test_prune_down_to_a_size_takes_the_oldest(work: Path, busybox: str) -> None:
    folder, store = work / "context", work / "s"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo {name} && head -c 4m /dev/urandom > /f\n")
        assert img("build", str(folder), root=store).returncode == 0
    most = size(store) - 3 * MIB
    assert img("prune", "--keep-storage", f"{most}b", root=store).returncode == 0
    assert most - 5 * MIB < size(store) <= most
    done = img("build", str(folder), root=store)
    assert "CACHED" in done.stderr and "DONE" not in done.stderr


def test_a_build_beside_others_takes_none_of_their_layers(work: Path, busybox: str) -> None:
    """Two at once on one small store: both end well, and the last one leaves it within the number."""
    store, running = work / "s", []
    for name in ("one", "two"):
        folder = work / name
        folder.mkdir()
        (folder / "Dockerfile").write_text(
            f"FROM {busybox}\nRUN echo {name} && head -c 2m /dev/urandom > /f\nRUN sleep 1\nRUN head -c 2m /dev/urandom > /g\n"
        )
        running.append(folder)
    outcomes: list[subprocess.CompletedProcess[str]] = []

    def build(folder: Path) -> None:
        words = ("--store-max", "24m", "-t", folder.name)
        outcomes.append(img("build", *words, str(folder), root=store))

    threads = [threading.Thread(target=build, args=(folder,)) for folder in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.returncode for done in outcomes] == [0, 0], [done.stderr for done in outcomes]
    for name in ("one", "two"):
        assert img("verify", name, root=store).returncode == 0
