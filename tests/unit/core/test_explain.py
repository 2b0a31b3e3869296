"""Why a step ran: seeded causes over fakes, each named, and none named wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from img.errors import StepFailed
from img.files.entry import Entry
from img.files.select import Item
from img.ir.nodes import Copy, Exec, Node, Source
from img.ir.values import CacheDir, Confinement, Limit, Network, Notes, Secret, Tmpfs
from img.ir.walk import topological
from img.ports import Result
from img.solver.explain import Journal, last
from img.solver.listings import differences, keep
from img.solver.lookup import Cache
from img.solver.run import Solver
from img.testing.fakes import FakeEngine, FakeSources, FakeWorker, MemoryStore, select_by_text


class World:
    def __init__(self, path: Path) -> None:
        self.store = MemoryStore(path)
        self.mended = False
        self.sources = FakeSources({"base": "sha256:b1", "tools": "sha256:t1", "context": {"a": "1", "b": "2"}})

    def build(self, goal: Node, name: str = "file", fresh: bool = False) -> dict[str, str]:
        """Build; returns title → reason of each step that ran."""

        def act(node: Node, inputs: Sequence[Result]) -> str:
            if not self.mended and isinstance(node, Exec) and "fail" in node.argv:
                raise StepFailed("made to fail")
            return node.digest + repr(inputs)

        cache = Cache(self.store, self.sources, select_by_text(self.sources.things), lambda node: fresh)  # type: ignore[arg-type]
        cache.pin_all([goal])
        journal = Journal(self.store, name, topological([goal]), cache.pinned)  # type: ignore[arg-type]
        try:
            Solver(cache, lambda: FakeWorker(act), FakeEngine(), journal=journal).solve([goal])
        finally:
            journal.close()
        return {ran.title: ran.why for ran in journal.ran}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


BASE = Source("docker-image", "base", notes=Notes("FROM base", group="s"))
CONTEXT = Source("local", "context")


def step(
    root: Node = BASE, text: str = "make", title: str = "RUN make", env: dict[str, str] | None = None, **more: object
) -> Exec:
    pairs = tuple((env or {"MODE": "a"}).items())
    return Exec(root, ("sh", "-c", text), pairs, notes=Notes(title, group="s"), **more)  # type: ignore[arg-type]


CAUSES = {
    "command": (step(), step(text="make all", title="RUN make all"), "the command changed"),
    "variable": (step(), step(env={"MODE": "b"}), "MODE is b, was a"),
    "new variable": (step(), step(env={"MODE": "a", "X": "1"}), "X is new: 1"),
    "variable gone": (step(env={"MODE": "a", "X": "1"}), step(), "X is gone, was 1"),
    "secret variable": (step(env={"API_TOKEN": "a"}), step(env={"API_TOKEN": "b"}), "API_TOKEN changed"),
    "folder": (step(), step(cwd="/w"), "cwd is /w, was /"),
    "user": (step(), step(user="www"), "user is new: www"),
    "network": (step(), step(confinement=Confinement(Network.NONE)), "network is none, was default"),
    "host name": (step(), step(confinement=Confinement(hostname="h")), "hostname is h, was buildkitsandbox"),
    "shm": (step(), step(confinement=Confinement(shm_size=5)), "shm_size is new: 5"),
    "hosts": (step(), step(confinement=Confinement(hosts=(("a", "1.2.3.4"),))), 'hosts is new: ["a", "1.2.3.4"]'),
    "limits": (step(), step(confinement=Confinement(limits=(Limit("core", 0, 1),))), 'limits is new: ["core", 0, 1]'),
    "another base": (
        step(),
        step(Source("docker-image", "tools", notes=Notes("FROM base", group="s"))),
        "the base is sha256:t1, was sha256:b1",
    ),
}


@pytest.mark.parametrize("cause", list(CAUSES))
def test_a_cause_is_named(cause: str, world: World) -> None:
    before, now, why = CAUSES[cause]
    world.build(before)
    assert list(world.build(now).values()) == [why]
    assert world.build(now) == {}


@pytest.mark.parametrize(
    "mount", [Tmpfs("/t"), CacheDir("c", "/c"), Secret("id", "/run/secrets/id")], ids=["tmpfs", "cache", "secret"]
)
def test_a_new_mount_is_named(mount: object, world: World) -> None:
    world.build(step())
    (why,) = world.build(step(mounts=(mount,))).values()
    assert why.startswith("mounts is new: ")


def test_a_base_that_moved(world: World) -> None:
    world.build(step())
    world.sources.things["base"] = "sha256:b2"
    assert world.build(step()) == {"RUN make": "the base is sha256:b2, was sha256:b1"}


def test_a_step_above_one_that_changed(world: World) -> None:
    world.build(step(step(text="one", title="RUN one"), title="RUN two"))
    found = world.build(step(step(text="one", title="RUN one", env={"MODE": "z"}), title="RUN two"))
    assert found == {"RUN one": "MODE is z, was a", "RUN two": "RUN one made other files"}


def test_a_new_step_in_between(world: World) -> None:
    first = step(title="RUN one")
    world.build(step(first, title="RUN two"))
    found = world.build(step(step(first, text="new", title="RUN new"), title="RUN two"))
    assert found == {"RUN new": "the step is new", "RUN two": "RUN new made other files"}


def test_files_of_a_context_without_a_listing(world: World) -> None:
    copy = Copy(BASE, CONTEXT, ("a",), "/", notes=Notes("COPY a /", group="s"))
    world.build(copy)
    world.sources.things["context"] = {"a": "changed"}
    assert world.build(copy) == {"COPY a /": "files of the context changed"}


def test_a_first_build_and_another_file(world: World) -> None:
    assert world.build(step()) == {"RUN make": "it was not built before"}
    assert world.build(step(text="x", title="RUN x"), name="other file") == {"RUN x": "it was not built before"}


def test_a_lost_result(world: World) -> None:
    world.build(step())
    for record in world.store.records.rows.values():
        world.store.lost.add(record.layers[-1])
    assert world.build(step()) == {"RUN make": "its result is no longer in the store"}


def test_a_step_that_failed_and_one_behind_it(world: World) -> None:
    goal = step(step(title="RUN one", text="fail"), title="RUN two")
    with pytest.raises(StepFailed):
        world.build(goal)
    world.mended = True
    assert world.build(goal) == {"RUN one": "it failed the last time", "RUN two": "the last build did not get to it"}


def test_no_cache_is_its_own_reason(world: World) -> None:
    world.build(step())
    assert world.build(step(), fresh=True) == {"RUN make": "--no-cache"}


def test_back_and_forth_compares_with_the_build_before(world: World) -> None:
    """A, B, A (cached), C: the reason for C is its difference from A, not from B."""
    for mode in ("a", "b", "a"):
        world.build(step(env={"MODE": mode}))
    assert world.build(step(env={"MODE": "c"})) == {"RUN make": "MODE is c, was a"}


def test_the_last_build_can_be_asked_about(world: World) -> None:
    assert last(world.store) is None  # type: ignore[arg-type]
    world.build(step())
    world.build(step(env={"MODE": "b"}))
    found = last(world.store)  # type: ignore[arg-type]
    assert found is not None
    name, slots, ran = found
    assert name == "file"
    assert [slot.title for slot in slots] == ["FROM base", "RUN make"]
    assert [(one.title, one.why, one.root) for one in ran] == [("RUN make", "MODE is b, was a", True)]


def listing(**files: tuple[str, int]) -> list[Item]:
    entries = [Entry("", "dir", 0o755)]
    entries += [Entry(name, "file", mode, digest="sha256:" + text * 64) for name, (text, mode) in files.items()]
    return [Item("src", entries, [])]


def test_files_are_named_with_what_happened_to_them(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path)
    keep(store, "one", listing(a=("1", 0o644), b=("1", 0o644), c=("1", 0o644), same=("1", 0o644)))  # type: ignore[arg-type]
    keep(store, "two", listing(a=("2", 0o644), b=("1", 0o755), d=("1", 0o644), same=("1", 0o644)))  # type: ignore[arg-type]
    found = differences(store, "one", "two")  # type: ignore[arg-type]
    assert found == ["src/a (content), src/b (mode), src/c (gone), src/d (new)"]
    assert differences(store, "one", "never kept") == []  # type: ignore[arg-type]


def test_many_files_are_counted(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path)
    keep(store, "one", listing(**{f"f{n:03}": ("1", 0o644) for n in range(100)}))  # type: ignore[arg-type]
    keep(store, "two", listing(**{f"f{n:03}": ("2", 0o644) for n in range(100)}))  # type: ignore[arg-type]
    (text,) = differences(store, "one", "two")  # type: ignore[arg-type]
    assert text.startswith("src/f000 (content), ")
    assert text.endswith(", and 96 more files")
