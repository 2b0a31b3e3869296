from __future__ import annotations

import json
from pathlib import Path

import pytest

from img.errors import ImgError, Place
from img.ir import wire
from img.ir.definition import Advice, Definition, Target
from img.ir.draw import dot
from img.ir.nodes import Copy, Diff, Exec, Link, Merge, Mkdir, Node, Remove, Scratch, Source, Write
from img.ir.values import (
    Bind,
    CacheDir,
    Confinement,
    Device,
    Limit,
    Network,
    Notes,
    Resources,
    Secret,
    Sharing,
    Ssh,
    Tmpfs,
)
from img.ir.walk import base_of, chain, topological, width
from img.outputs import layer_groups
from img.ports import Snapshot

BASE = Source("docker-image", "docker.io/library/debian:12@sha256:" + "0" * 64, (("platform", "linux/amd64"),))


NOTES = Notes("RUN true", Place("Dockerfile", 3, 1, 3, "RUN true"), "tools")


def everything() -> Definition:
    """A graph with every kind of node and mount."""
    context = Source("local", "context", (("ignore", "*.pyc\n!keep.pyc"),), retry=1)
    tools = Exec(BASE, ("/bin/sh", "-c", "true"), notes=NOTES)
    mounts = (
        Bind(tools, "/tools", "/usr", True),
        CacheDir("pip", "/root/.cache", Sharing.LOCKED, node=BASE, path="/var"),
        Secret("token", env="TOKEN", required=True),
        Ssh("default", "/run/ssh"),
        Tmpfs("/tmp", 1 << 20),
    )
    resources = Resources(1 << 30, -1, 150_000, 100_000, 512, "0-1", "0", 99, 90.5)
    confinement = Confinement(
        Network.NONE, hosts=(("db", "10.0.0.1"),), limits=(Limit("nofile", 10, 20),), resources=resources
    )
    node: Node = Exec(
        BASE,
        ("make", "a\udcff"),
        (("A", "1"), ("B", "")),
        "/w",
        "u:g",
        mounts,
        confinement,
        devices=(Device("vendor.com/gpu=0", True),),
        proxies=(("http_proxy", "x"),),
        retry=2,
    )
    node = Copy(node, context, ("a*", "b"), "/d/", "1:2", "u=rwX", ("*.o",), True, True, False, True, mtime=5)
    node = Mkdir(node, "/m", 0o700, "u", mtime=5)
    node = Write(node, "/f", b"\0\xff", 0o600, "u")
    node = Link(node, "/l", "f", "u")
    node = Remove(node, "/x*", True, True)
    node = Merge((node, Diff(BASE, tools), Scratch()))
    target = Target(
        node, {"architecture": "amd64", "os": "linux", "config": {}, "history": []}, "linux/amd64", (), 1, 1700000000
    )
    advice = Advice("careful", Place("Dockerfile", 2, 1, 2, "RUN x"), "StageNameCasing", "https://example.com/rule")
    return Definition((target,), (advice,))


def test_the_stream_reads_back_to_the_same_graph() -> None:
    definition = everything()
    text = wire.dump(definition)
    again = wire.load(text)
    assert again == definition
    assert wire.dump(again) == text
    nodes = {node.digest: node for node in topological([again.targets[0].root])}
    for node in topological([definition.targets[0].root]):
        assert nodes[node.digest].notes == node.notes
        assert getattr(nodes[node.digest], "retry", 0) == getattr(node, "retry", 0)
        if isinstance(node, Exec):
            other = nodes[node.digest]
            assert isinstance(other, Exec)
            assert other.confinement == node.confinement


def test_the_stream_is_pinned() -> None:
    """A change of this file changes every digest and every stored plan: raise `img.ir.nodes.VERSION` with it."""
    golden = Path(__file__).with_name("everything.jsonl")
    assert wire.dump(everything()) == golden.read_text()


def test_a_step_reads_as_an_instruction() -> None:
    node = Exec(BASE, ("make", "all"), (("MODE", "release"),))
    document = node.document()
    assert document["step"] == "RUN"
    assert document["command"] == ["make", "all"]
    assert document["inputs"] == [BASE.digest]


def test_a_changed_line_is_found_out() -> None:
    lines = wire.dump(everything()).splitlines()
    changed = json.loads(lines[2])
    changed["command"] = ["false"]
    lines[2] = json.dumps(changed)
    with pytest.raises(ImgError, match="line 3 of the instruction stream"):
        wire.load("\n".join(lines))


@pytest.mark.parametrize("text", ["{}", "[]", '{"img": 2, "stream": "definition"}', "nonsense"])
def test_other_text_is_no_stream(text: str) -> None:
    with pytest.raises(ImgError, match="line 1"):
        wire.load(text)


def test_how_a_step_is_run_is_outside_identity() -> None:
    plain = Exec(BASE, ("true",))
    limited = Confinement(resources=Resources(memory=1 << 30, timeout=3))
    assert plain == Exec(BASE, ("true",), confinement=limited, retry=3)
    assert Source("http", "http://x/y") == Source("http", "http://x/y", retry=3)


def test_of_two_limits_the_tighter_holds() -> None:
    mine = Resources(memory=10 << 20, memory_swap=20 << 20, cpu_quota=50_000, timeout=5, cpuset_cpus="1")
    build = Resources(memory=8 << 20, cpu_quota=80_000, cpu_period=200_000, pids=7, timeout=9, cpuset_cpus="0")
    both = mine.within(build)
    assert (both.memory, both.pids, both.timeout, both.cpuset_cpus) == (8 << 20, 7, 5, "1")
    assert (both.cpu_quota, both.cpu_period) == (80_000, 200_000)
    assert Resources().within(build) == build and build.within(Resources()) == build
    assert Resources(memory=9, memory_swap=-1).within(Resources(memory=8)).memory_swap == -1


def test_notes_and_proxies_are_outside_identity() -> None:
    plain = Exec(BASE, ("true",))
    noted = Exec(BASE, ("true",), proxies=(("http_proxy", "x"),), notes=Notes("RUN true", Place("D", 1)))
    assert plain == noted
    assert len({plain, noted}) == 1


@pytest.mark.parametrize(
    "other",
    [
        Exec(BASE, ("a", "bc")),
        Exec(BASE, ("ab", "c"), (("A", ""),)),
        Exec(BASE, ("ab", "c"), cwd="/x"),
        Exec(BASE, ("ab", "c"), user="0"),
        Exec(BASE, ("ab", "c"), mounts=(Tmpfs("/t"),)),
        Exec(BASE, ("ab", "c"), confinement=Confinement(Network.NONE)),
        Exec(BASE, ("ab", "c"), devices=(Device("x.com/y"),)),
        Exec(BASE, ("ab", "c"), devices=(Device("x.com/y", True),)),
        Exec(Scratch(), ("ab", "c")),
    ],
)
def test_any_field_changes_the_digest(other: Exec) -> None:
    assert other != Exec(BASE, ("ab", "c"))


def test_ten_thousand_nodes_are_an_ordinary_graph() -> None:
    node: Node = Scratch()
    for number in range(10_000):
        node = Mkdir(node, f"/{number}")
    assert len(topological([node])) == 10_001
    assert len(chain(node)) == 10_001
    definition = Definition((Target(node, {}, "linux/amd64"),))
    assert wire.load(wire.dump(definition)) == definition
    assert repr(node).startswith("<Mkdir ")


def test_inputs_come_before_their_readers_and_once() -> None:
    left, right = Mkdir(BASE, "/l"), Mkdir(BASE, "/r")
    top = Merge((left, right, left))
    assert topological([top, right]) == [BASE, left, right, top]


def test_drawing_names_each_node_once() -> None:
    text = dot(everything())
    assert text.count("[label=") == len(topological([everything().targets[0].root]))


def test_a_linked_layer_is_one_step_of_the_chain() -> None:
    below = Mkdir(BASE, "/a")
    linked = Merge((below, Copy(Copy(Scratch(), BASE, ("a",), "/"), BASE, ("b",), "/")))
    top = Mkdir(linked, "/b")
    assert chain(top) == [BASE, below, linked, top]
    assert [width(node) for node in chain(top)[1:]] == [1, 2, 1]
    nested = Merge((top, Merge((Mkdir(Scratch(), "/c"), Mkdir(Scratch(), "/d")))))
    assert (base_of(nested), width(nested)) == (top, 2)


def test_other_merges_stand_on_nothing() -> None:
    merged = Merge((BASE, Mkdir(BASE, "/a")))
    assert base_of(merged) is None
    assert chain(merged) == [merged]


def test_layers_of_an_image_by_the_steps_that_made_them() -> None:
    linked = Merge((Mkdir(BASE, "/a"), Copy(Copy(Scratch(), BASE, ("a",), "/"), BASE, ("b",), "/")))
    top = Mkdir(linked, "/b")
    target = Target(top, {}, "linux/amd64", (linked.layers[0].digest, linked.digest, top.digest), 2)
    groups = layer_groups(target, Snapshot(("base1", "base2", "a", "copy1", "copy2", "b")))
    assert groups == [("base1",), ("base2",), ("a",), ("copy1", "copy2"), ("b",)]
