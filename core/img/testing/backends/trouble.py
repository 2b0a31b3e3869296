"""Many steps at once, a build that is stopped, and what is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from img.abilities import QUALITIES, WORDS, needs
from img.errors import BackendError, Cancelled, ImgError, StepFailed
from img.ir.nodes import Exec, Mkdir, Node
from img.ir.values import Notes
from img.ports import Availability
from img.testing.backends.bench import BASE, Bench, Watcher, sh
from img.testing.backends.here import running, until

STEPS = 64


class TroubleCases:
    """Abilities as a whole, steps side by side, cancelling."""

    def test_it_says_what_it_can(self, bench: Bench) -> None:
        plugin = bench.session.engine.load("backend", bench.backend)
        found: Availability = plugin.probe()
        assert found.ok and found.reason
        assert all(name.islower() for name in bench.abilities)
        unknown = bench.abilities - set(WORDS) - set(QUALITIES)
        assert not unknown, f"nothing asks for {', '.join(sorted(unknown))}: is a name of img.abilities misspelt?"

    def test_sixty_four_steps_side_by_side(self, bench: Bench) -> None:
        nodes = [sh(f"echo {number} > /n; sleep 1; cat /n") for number in range(STEPS)]
        begun = time.monotonic()
        seen = bench.build(*nodes)
        seconds = time.monotonic() - begun
        assert sorted(map(int, seen.output().split())) == list(range(STEPS))
        assert seconds < STEPS / 2, "they ran one after the other"
        assert bench.made(nodes[STEPS - 1])["/n"].data == b"%d\n" % (STEPS - 1)

    def test_a_build_that_is_stopped_leaves_nothing(self, bench: Bench) -> None:
        mark = _mark("1")
        node = sh(f"(setsid sh -c 'trap \"\" TERM INT HUP; sleep {mark}' &); sleep {mark} & echo begun; sleep {mark}")
        self._stopped(bench, node, mark)

    def test_a_build_that_is_stopped_as_a_user_leaves_nothing(self, bench: Bench) -> None:
        mark = _mark("2")
        self._stopped(bench, sh(f"(setsid sleep {mark} &); echo begun; sleep {mark}", user="www"), mark)

    def _stopped(self, bench: Bench, node: Exec, mark: str) -> None:
        before = _left(bench)
        seen = Watcher()
        raised = _in_thread(lambda: bench.build(node, watcher=seen))
        until(lambda: bool(seen.output()), "the step never began")
        until(lambda: len(running(mark)) >= 2, "its processes can't be seen")
        begun = time.monotonic()
        bench.session.cancel()
        error = raised()
        assert isinstance(error, Cancelled), error
        assert time.monotonic() - begun < 15
        until(lambda: running(mark) == [], "processes are left", 10)
        assert _left(bench) == before
        assert bench.output(sh("echo goes on"), no_cache=True) == "goes on\n"

    def test_a_step_that_fails_stops_those_beside_it(self, bench: Bench) -> None:
        mark = _mark("3")
        slow = sh(f"echo slow; sleep {mark}")
        bad = sh(f"for i in $(seq 300); do test -e /proc/1 && break; done; sleep 0.5; exit 3 # {mark}")
        begun = time.monotonic()
        with pytest.raises(StepFailed) as failed:
            bench.build(slow, bad)
        assert failed.value.status == 3
        assert time.monotonic() - begun < 30
        until(lambda: running(mark) == [], "processes are left", 10)

    def test_a_failure_is_not_remembered(self, bench: Bench) -> None:
        node = sh("echo tried; exit 1")
        for _ in range(2):
            seen = Watcher()
            with pytest.raises(StepFailed):
                bench.build(node, watcher=seen)
            assert seen.output() == b"tried\n"

    def test_what_was_made_is_not_made_again(self, bench: Bench) -> None:
        node = sh("echo once", Mkdir(BASE, "/once"))
        assert bench.output(node) == "once\n"
        assert bench.output(node) == ""

    def test_a_title_and_its_end_are_told(self, bench: Bench) -> None:
        node = sh("echo said; exit 2", notes=Notes("a title of its own"))
        seen = Watcher()
        with pytest.raises(ImgError, match="a title of its own"):
            bench.build(node, watcher=seen)
        assert "a title of its own" in seen.started

    def test_what_it_lacks_is_refused_before_anything_runs(self, bench: Bench) -> None:
        """Also when it is wanted by the last step only."""
        for ability in sorted(set(WORDS) - bench.abilities):
            wanting = _wanting(ability)
            if wanting is None:
                continue
            seen = Watcher()
            with pytest.raises(BackendError) as refused:
                bench.build(wanting, watcher=seen)
            assert bench.backend in refused.value.message
            assert needs(wanting) - bench.abilities, ability
            assert seen.started == []


def _wanting(ability: str) -> Node | None:
    """Steps whose last takes the ability; None if only a case of its own can say how."""
    from img.ir.nodes import Copy, Diff, Link, Merge
    from img.ir.values import Confinement, Device, Limit, Network, Secret, Security, Tmpfs

    first = sh("echo first", Mkdir(BASE, "/first"))
    wanting: dict[str, Node] = {
        "run": first,
        "mount.tmpfs": sh("true", first, mounts=(Tmpfs("/t"),)),
        "mount.tmpfs.size": sh("true", first, mounts=(Tmpfs("/t", 1 << 20),)),
        "network.none": sh("true", first, confinement=Confinement(network=Network.NONE)),
        "network.host": sh("true", first, confinement=Confinement(network=Network.HOST)),
        "security.insecure": sh("true", first, confinement=Confinement(security=Security.INSECURE)),
        "hostname": sh("true", first, confinement=Confinement(hostname="other")),
        "devices": sh("true", first, devices=(Device("a.b/c=d", True),)),
        "rlimits": sh("true", first, confinement=Confinement(limits=(Limit("nofile", 10, 10),))),
        "shm_size": sh("true", first, confinement=Confinement(shm_size=1 << 20)),
        "mount.secret.env": sh("true", first, mounts=(Secret("s", "", "S"),)),
        "files.patterns": Copy(BASE, first, ("/first",), "/f", excludes=("x",)),
        "files.modes": Copy(BASE, first, ("/first",), "/f", mode="u=rwX"),
        "files.link": Link(first, "/l", "f"),
        "files.merge": Merge((first, BASE)),
        "files.diff": Diff(BASE, first),
    }
    return wanting.get(ability)


def _mark(digit: str) -> str:
    """A number of seconds that no other process sleeps."""
    return f"{3000 + os.getpid() % 1000}.{time.monotonic_ns() % 10**6:06d}{digit}"


def _in_thread(act: Callable[[], Any]) -> Callable[[], BaseException | None]:
    """Start `act`; what comes back waits for it and gives what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def wait() -> BaseException | None:
        thread.join(60)
        assert not thread.is_alive(), "the build does not end"
        return raised[0] if raised else None

    return wait


def _left(bench: Bench) -> tuple[list[str], list[str]]:
    """What a build may leave behind: files of the store's own tmp, and mounts of this namespace below the bench."""
    tmp = bench.session.store.tmp
    files = sorted(path.name for path in tmp.iterdir() if path.name != "copies") if tmp.is_dir() else []
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as lines:
        mounts = sorted(line.split()[4] for line in lines if os.fspath(bench.place) in line)
    return files, mounts
