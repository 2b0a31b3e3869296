"""The solver over fakes: what runs, what is found, in what order, and what happens on failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from img.digest import digest_of
from img.errors import Cancelled, StepFailed
from img.events import StepCached
from img.events import StepFailed as FailedEvent
from img.ir.nodes import Copy, Exec, Merge, Node, Scratch, Source
from img.ir.values import Bind, Notes
from img.ir.walk import topological
from img.ports import Result, Snapshot
from img.solver.explain import Journal
from img.solver.lookup import Cache
from img.solver.run import Solver
from img.testing.fakes import FakeEngine, FakeSources, FakeWorker, MemoryStore, select_by_text

CONTEXT = Source("local", "context")


def run(root: Node, name: str, *mounts: Node, text: str = "") -> Exec:
    binds = tuple(Bind(node, f"/m{number}") for number, node in enumerate(mounts))
    return Exec(root, ("sh", "-c", text or name), mounts=binds, notes=Notes(name))


class World:
    """A store and sources that several builds share."""

    def __init__(self, path: Path, things: dict[str, str | dict[str, str]]) -> None:
        self.store = MemoryStore(path)
        self.sources = FakeSources(things)
        self.engine = FakeEngine()

    def build(
        self,
        *goals: Node,
        act: Callable[[Node, Sequence[Result]], str] | None = None,
        fresh: Callable[[Node], bool] = lambda node: False,
        steps: int = 64,
    ) -> tuple[list[Snapshot], FakeWorker]:
        self.engine = FakeEngine()
        self.sources.fetched = []
        worker = FakeWorker(act)
        cache = Cache(self.store, self.sources, select_by_text(self.sources.things), fresh)  # type: ignore[arg-type]
        cache.pin_all(goals)
        journal = Journal(self.store, "test", topological(goals), cache.pinned)
        try:
            return Solver(cache, lambda: worker, self.engine, steps, journal=journal).solve(goals), worker
        finally:
            journal.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {"base": "sha256:b1", "context": {"a": "1", "b": "2"}})


BASE = Source("docker-image", "base")


def test_the_second_build_runs_and_fetches_nothing(world: World) -> None:
    goal = run(run(BASE, "one"), "two")
    first, worker = world.build(goal)
    assert worker.ran == ["one", "two"]
    second, worker = world.build(goal)
    assert worker.ran == []
    assert world.sources.fetched == []
    assert second == first
    assert [type(event) for event in world.engine.events] == [StepCached, StepCached]


def test_shared_nodes_run_once(world: World) -> None:
    shared = run(BASE, "shared")
    goal = Merge((run(shared, "left"), run(shared, "right"), shared))
    _, worker = world.build(goal)
    assert sorted(worker.ran) == ["MERGE", "left", "right", "shared"]


def test_touching_one_file_runs_just_what_sees_it(world: World) -> None:
    one = run(Copy(BASE, CONTEXT, ("a",), "/a", notes=Notes("copy a")), "with a")
    two = run(Copy(BASE, CONTEXT, ("b",), "/b", notes=Notes("copy b")), "with b")
    goal = run(BASE, "goal", one, two)
    select = select_by_text(world.sources.things)

    def act(node: Node, inputs: Sequence[Result]) -> str:
        files = select(node, inputs[1]) if isinstance(node, Copy) else ""
        return digest_of([node.digest, files, [repr(result) for result in inputs]])

    world.build(goal, act=act)
    world.sources.things["context"] = {"a": "changed", "b": "2"}
    _, worker = world.build(goal, act=act)
    assert worker.ran == ["copy a", "with a", "goal"]


def test_a_new_base_behind_the_same_name_runs_everything(world: World) -> None:
    goal = run(run(BASE, "one"), "two")
    world.build(goal)
    world.sources.things["base"] = "sha256:b2"
    _, worker = world.build(goal)
    assert worker.ran == ["one", "two"]


def test_early_cutoff_a_step_that_made_the_same_files_leaves_the_rest_cached(world: World) -> None:
    def act(node: Node, inputs: Sequence[Result]) -> str:
        return "same" if node.notes.title == "one" else digest_of([node.digest])

    world.build(run(run(BASE, "one", text="make"), "two"), act=act)
    _, worker = world.build(run(run(BASE, "one", text="make  "), "two"), act=act)
    assert worker.ran == ["one"]
    _, worker = world.build(run(run(BASE, "one", text="make  "), "two"), act=act)
    assert worker.ran == []


def test_a_lost_layer_is_a_miss_and_is_made_again(world: World) -> None:
    goal = run(run(BASE, "one"), "two")
    (snapshot,), _ = world.build(goal)
    world.store.lost.add(snapshot.layers[-1])
    _, worker = world.build(goal)
    assert worker.ran == ["two"]


def test_a_fresh_step_below_cached_ones_runs_and_decides_whether_they_do(world: World) -> None:
    made = ["first"]
    one = run(BASE, "one")
    goal = run(run(BASE, "other", one), "two")

    def act(node: Node, inputs: Sequence[Result]) -> str:
        return made[0] if node.notes.title == "one" else digest_of(node.notes.title)

    def build() -> list[str]:
        return world.build(goal, act=act, fresh=lambda node: node.notes.title == "one")[1].ran

    assert build() == ["one", "other", "two"]
    assert build() == ["one"]
    made[0] = "second"
    assert build() == ["one", "other"]


def test_no_cache_is_a_wish_of_the_run(world: World) -> None:
    goal = run(run(BASE, "one"), "two")
    world.build(goal)
    _, worker = world.build(goal, fresh=lambda node: True)
    assert worker.ran == ["one", "two"]
    _, worker = world.build(goal)
    assert worker.ran == []


def test_every_key_says_what_its_key_is_made_of(world: World) -> None:
    goal = Exec(BASE, ("make", "all"), (("MODE", "release"),), notes=Notes("RUN make all"))
    cache = Cache(world.store, world.sources, select_by_text(world.sources.things))  # type: ignore[arg-type]
    cache.pin_all([goal])
    parts = dict(cache.pinned(goal).parts)
    assert parts["command"] == "make all"
    assert parts["env MODE"] == "release"
    assert parts["input 0"] == cache.pinned(BASE).digest


def test_independent_steps_run_side_by_side(world: World) -> None:
    barrier = threading.Barrier(12)

    def act(node: Node, inputs: Sequence[Result]) -> str:
        if node.notes.title.startswith("stage"):
            barrier.wait(timeout=30)
        return node.digest

    goal = run(BASE, "goal", *[run(BASE, f"stage {number}") for number in range(12)])
    _, worker = world.build(goal, act=act)
    assert worker.most == 12


def test_the_limit_on_steps_holds(world: World) -> None:
    def act(node: Node, inputs: Sequence[Result]) -> str:
        time.sleep(0.01)
        return node.digest

    goal = run(BASE, "goal", *[run(BASE, f"stage {number}") for number in range(9)])
    _, worker = world.build(goal, act=act, steps=3)
    assert worker.most == 3


def test_a_failure_stops_the_others_and_records_nothing_of_them(world: World) -> None:
    started = threading.Event()

    def act(node: Node, inputs: Sequence[Result]) -> str:
        if node.notes.title == "bad":
            started.wait(30)
            raise StepFailed("RUN bad failed", status=3)
        started.set()
        world.engine.wait(30)
        return node.digest

    slow, bad = run(BASE, "slow"), run(BASE, "bad")
    with pytest.raises(StepFailed, match="RUN bad failed") as caught:
        world.build(run(BASE, "goal", slow, bad), act=act)
    assert caught.value.status == 3
    assert world.store.records.rows == {}
    assert [event.title for event in world.engine.events if isinstance(event, FailedEvent)].count("bad") == 1


def test_cancelling_from_outside_ends_the_run(world: World) -> None:
    def act(node: Node, inputs: Sequence[Result]) -> str:
        threading.Timer(0.05, world.engine.cancel).start()
        world.engine.wait(30)
        return node.digest

    with pytest.raises(Cancelled):
        world.build(run(BASE, "slow"), act=act)
    assert world.store.records.rows == {}


def test_two_runs_on_one_store_make_a_step_once(world: World) -> None:
    count = 0
    lock = threading.Lock()

    def act(node: Node, inputs: Sequence[Result]) -> str:
        nonlocal count
        with lock:
            count += 1
        time.sleep(0.2)
        return node.digest

    goal = run(BASE, "slow")
    errors: list[BaseException] = []

    def build() -> None:
        try:
            cache = Cache(world.store, world.sources, select_by_text(world.sources.things))  # type: ignore[arg-type]
            cache.pin_all([goal])
            journal = Journal(world.store, "test", [BASE, goal], cache.pinned)
            Solver(cache, lambda: FakeWorker(act), FakeEngine(), journal=journal).solve([goal])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert count == 1


def test_a_chain_of_two_thousand_nodes(world: World) -> None:
    node: Node = Scratch()
    for number in range(2000):
        node = run(node, f"{number}")
    (snapshot,), worker = world.build(node)
    assert len(worker.ran) == 2000
    assert len(snapshot.layers) == 2000


def test_works_for_a_caller_with_an_event_loop(world: World) -> None:
    import asyncio

    async def main() -> list[Snapshot]:
        return world.build(run(BASE, "one"))[0]

    assert len(asyncio.run(main())[0].layers) == 2


graphs = st.lists(
    st.tuples(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=3), st.integers(0, 3)), max_size=12
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=graphs, change=st.integers(0, 3))
def test_against_a_naive_model(tmp_path_factory: pytest.TempPathFactory, shape: list, change: int) -> None:
    """Build a random graph, change the text of some steps, build again: exactly what stands above them runs."""

    def graph(changed: int) -> list[Node]:
        nodes: list[Node] = [BASE]
        for number, (below, mounts, group) in enumerate(shape):
            text = f"{number}!" if group == changed else f"{number}"
            picked = [nodes[index % len(nodes)] for index in mounts]
            nodes.append(run(nodes[below % len(nodes)], f"n{number}", *picked, text=text))
        return nodes

    world = World(tmp_path_factory.mktemp("w"), {"base": "x"})
    old, new = graph(-1), graph(change)
    world.build(old[-1])
    _, worker = world.build(new[-1])
    before = {node.digest for node in topological([old[-1]])}
    expected = [node.notes.title for node in topological([new[-1]]) if node.digest not in before]
    assert sorted(worker.ran) == sorted(expected)
