"""What nodes take of a backend, and what becomes of a build whose backend lacks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from img import backends
from img.abilities import ALL, WORDS, lacking, needs
from img.errors import BackendError, Place, PluginError
from img.ir.nodes import Copy, Diff, Exec, Link, Merge, Mkdir, Node, Scratch
from img.ir.values import (
    Bind,
    CacheDir,
    Confinement,
    Device,
    Limit,
    Mount,
    Network,
    Notes,
    Secret,
    Security,
    Ssh,
    Tmpfs,
)
from img.ir.walk import topological
from img.ports import Availability, Snapshot
from img.solver.explain import Journal
from img.solver.lookup import Cache
from img.solver.run import Solver
from img.testing.fakes import FakeEngine, FakeSources, FakeWorker, MemoryStore, select_by_text

EMPTY = Scratch()
PLACE = Place("Dockerfile", 7)


def run(
    root: Node = EMPTY, *mounts: Mount, title: str = "RUN it", devices: tuple[Device, ...] = (), **how: Any
) -> Exec:
    confinement = Confinement(**how)
    return Exec(root, ("it", title), mounts=mounts, confinement=confinement, devices=devices, notes=Notes(title, PLACE))


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        (EMPTY, ""),
        (Mkdir(EMPTY, "/a"), ""),
        (Link(EMPTY, "/a", "b"), "files.link"),
        (Merge((Mkdir(EMPTY, "/a"), Mkdir(EMPTY, "/b"))), "files.merge"),
        (Merge((EMPTY, Mkdir(EMPTY, "/b"))), ""),
        (Copy(EMPTY, EMPTY, ("a",), "/b", mode="640"), ""),
        (Copy(EMPTY, EMPTY, ("a",), "/b", mode="u=rw"), "files.modes"),
        (Copy(EMPTY, EMPTY, ("a",), "/b", excludes=("c",)), "files.patterns"),
        (run(EMPTY, Secret("s", "", "S")), "run mount.secret mount.secret.env"),
        (Diff(EMPTY, EMPTY), "files.diff"),
        (run(), "run"),
        (run(EMPTY, Bind(EMPTY, "/m")), "run mount.bind"),
        (run(EMPTY, CacheDir("c", "/c"), CacheDir("d", "/d")), "run mount.cache"),
        (run(EMPTY, Secret("s", "/s"), Ssh("default", "/a")), "run mount.secret mount.ssh"),
        (run(EMPTY, Tmpfs("/t")), "run mount.tmpfs"),
        (run(EMPTY, Tmpfs("/t", 4096)), "run mount.tmpfs mount.tmpfs.size"),
        (run(network=Network.NONE), "run network.none"),
        (run(network=Network.HOST), "run network.host"),
        (run(security=Security.INSECURE), "run security.insecure"),
        (run(hostname="builder"), "run hostname"),
        (run(hosts=(("a", "127.0.0.1"),)), "run hosts"),
        (run(limits=(Limit("nofile", 1, 2),), shm_size=1), "run rlimits shm_size"),
        (run(devices=(Device("v.com/c=d", required=True),)), "run devices"),
        (run(devices=(Device("v.com/c=d"),)), "run"),
    ],
)
def test_what_a_node_takes(node: Node, wanted: str) -> None:
    assert needs(node) == frozenset(wanted.split()) <= ALL


def test_a_build_without_network_takes_steps_without_network() -> None:
    assert needs(run(), "none") == {"run", "network.none"}
    assert needs(run(network=Network.HOST), "none") == {"run", "network.host"}


def test_the_first_thing_that_is_lacking_is_named_in_the_order_of_the_table() -> None:
    nodes = [Mkdir(EMPTY, "/a"), run(network=Network.NONE, hostname="h"), run(title="RUN plain")]
    assert lacking(nodes, ALL) == []
    assert lacking(nodes, ALL - {"hostname", "network.none"}) == [(nodes[1], "network.none")]
    assert [name for _, name in lacking(nodes, frozenset())] == ["run", "run"]


# --- choosing ------------------------------------------------------------------------------------------------------


class Backend(FakeWorker):
    def __init__(self, lacks: str = "", ok: bool = True) -> None:
        super().__init__()
        self.abilities = ALL - set(lacks.split())
        self.ok = ok

    def probe(self) -> Availability:
        return Availability(self.ok, "a fake reason", "a fake remedy")


def engine(tmp_path: Path, **workers: Any) -> Any:
    return SimpleNamespace(
        load=lambda kind, name: workers[name],
        registry=SimpleNamespace(names=lambda kind: list(workers)),
        settings={},
        store=SimpleNamespace(scratch=lambda: tmp_path),
    )


def test_the_step_the_ability_and_who_has_it_are_named(tmp_path: Path) -> None:
    world = engine(tmp_path, chroot=Backend("network.none"), other=Backend(), third=Backend(ok=False))
    nodes = [run(title="RUN one"), run(title="RUN two", network=Network.NONE)]
    with pytest.raises(BackendError) as raised:
        backends.for_nodes(world, "chroot", lambda: nodes)
    told = raised.value
    assert told.message == (
        "RUN two needs a step without network (network.none), which the backend chroot lacks here: a fake reason"
    )
    assert told.hint == "--backend other has it; a fake remedy"
    assert told.place == PLACE


def test_where_nothing_runs_the_machine_is_examined(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as raised:
        backends.for_nodes(engine(tmp_path, chroot=Backend("run")), "", lambda: [run()])
    assert (
        raised.value.message
        == "RUN it needs a process of its own (run), which the backend chroot lacks here: a fake reason"
    )
    assert raised.value.hint.startswith("no other backend has it here; rung ")


def test_if_it_may_be_any_it_is_one_that_can(tmp_path: Path) -> None:
    able = Backend()
    world = engine(tmp_path, chroot=Backend("security.insecure"), runc=Backend(ok=False), containerd=able)
    assert backends.for_nodes(world, "auto", lambda: [run(security=Security.INSECURE)]) is able
    assert backends.for_nodes(world, "", lambda: [run()]) is world.load("backend", "chroot")


def test_a_backend_that_does_not_say_is_broken(tmp_path: Path) -> None:
    world = engine(tmp_path, silent=SimpleNamespace(probe=lambda: Availability(True, "")))
    with pytest.raises(PluginError, match="'silent' does not say what it can do"):
        backends.for_nodes(world, "silent", lambda: [run()])


# --- in a build ----------------------------------------------------------------------------------------------------


def solve(path: Path, goal: Node, choose: Callable[[Cache], Any], store: Any = None) -> Sequence[Snapshot]:
    cache = Cache(store or MemoryStore(path), FakeSources({}), select_by_text({}))  # type: ignore[arg-type]
    cache.pin_all([goal])
    journal = Journal(cache.store, "test", topological([goal]), cache.pinned)
    try:
        return Solver(cache, lambda: choose(cache), FakeEngine(), journal=journal).solve([goal])
    finally:
        journal.close()


def test_nothing_has_run_when_it_fails(tmp_path: Path) -> None:
    worker = Backend("network.none")
    last = run(run(run(), title="RUN two"), title="RUN three", network=Network.NONE)
    world = engine(tmp_path, fake=worker)
    with pytest.raises(BackendError, match="RUN three needs a step without network"):
        solve(tmp_path, last, lambda cache: backends.for_nodes(world, "fake", lambda: cache.undecided([last])))
    assert worker.ran == []


def test_a_step_that_is_cached_takes_nothing(tmp_path: Path) -> None:
    """Also not what is below it; and the backend is asked for once."""
    store, asked = MemoryStore(tmp_path), []
    alone = run(run(network=Network.NONE, title="RUN below"), network=Network.NONE)
    solve(tmp_path, alone, lambda cache: Backend(), store)
    store.records.rows.pop(next(iter(store.records.rows)))  # what is below may be gone
    able = Backend("network.none")
    world = engine(tmp_path, fake=able)
    last = run(Mkdir(alone, "/a"), title="RUN last")

    def choose(cache: Cache) -> Any:
        asked.append([node.step for node in cache.undecided([last])])
        return backends.for_nodes(world, "fake", lambda: cache.undecided([last]))

    solve(tmp_path, last, choose, store)
    assert asked == [["MKDIR", "RUN"]]
    assert able.ran == ["MKDIR", "RUN last"]


def test_every_ability_has_words() -> None:
    assert all(words and name == name.lower() for name, words in WORDS.items())
