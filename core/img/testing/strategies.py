"""Strategies of hypothesis for what plugins get and give: paths, trees, configurations, definitions, documents. Needs the
package ``hypothesis``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

from img.ir.definition import Definition, Target
from img.ir.nodes import Copy, Exec, Link, Merge, Mkdir, Node, Remove, Scratch, Source, Write
from img.ir.values import Bind, CacheDir, Confinement, Mount, Network, Notes, Secret, Sharing, Tmpfs

Json = Any


class Item(NamedTuple):
    """One entry of a tree. `kind` is file, dir or symlink; `data` are a file's bytes or a link's target."""

    kind: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    data: bytes = b""


SURROGATES: tuple[Literal["Cs"], ...] = ("Cs",)
CONTROLS: tuple[Literal["Cs", "Cc"], ...] = ("Cs", "Cc")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=SURROGATES), max_size=20)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "etc", "x y", ".hidden", "-dash", "é", "日本", "#", "*", "[a]", "a\\b", "\n", "%41"]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=SURROGATES), min_size=1, max_size=12),
).filter(lambda name: name not in (".", ".."))
"""Names of files, odd ones among them."""


def paths(deepest: int = 3) -> st.SearchStrategy[str]:
    """Relative paths."""
    return st.lists(NAMES, min_size=1, max_size=deepest).map("/".join)


def trees(largest: int = 8) -> st.SearchStrategy[Mapping[str, Item]]:
    """Entries by path; every entry's folder is there, as a folder."""
    items = st.one_of(
        st.builds(
            Item, st.just("file"), st.integers(0, 0o7777), st.integers(0, 3), st.integers(0, 3), st.binary(max_size=40)
        ),
        st.builds(Item, st.just("dir"), st.integers(0o500, 0o7777), st.integers(0, 3), st.integers(0, 3)),
        st.builds(lambda to: Item("symlink", 0o777, data=to.encode()), paths()),
    )
    return st.dictionaries(paths(), items, max_size=largest).map(_closed)


def _closed(found: dict[str, Item]) -> Mapping[str, Item]:
    """With the folders that are missing, and without what lies in something that is no folder."""
    whole: dict[str, Item] = {}
    for path in sorted(found, key=lambda path: path.count("/")):
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        if any(whole[one].kind != "dir" for one in above if one in whole):
            continue
        for one in above:
            whole.setdefault(one, Item("dir", 0o755))
        whole.setdefault(path, found[path])
    return dict(sorted(whole.items()))


ABSOLUTE = paths().map(lambda path: f"/{path}")


def mounts(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Mount]:
    """Mounts of a step, of every kind but ssh."""
    return st.one_of(
        st.builds(Bind, nodes, ABSOLUTE, ABSOLUTE, st.booleans()),
        st.builds(CacheDir, NAMES, ABSOLUTE, st.sampled_from(Sharing)),
        st.builds(Secret, NAMES, ABSOLUTE),
        st.builds(Tmpfs, ABSOLUTE, st.integers(0, 1 << 30)),
    )


def nodes(largest: int = 8) -> st.SearchStrategy[Node]:
    """Graphs by their last node. They are right in form; nobody says that they can be built."""
    notes = st.builds(Notes, TEXTS)
    starts: st.SearchStrategy[Node] = st.one_of(
        st.builds(Scratch), st.builds(Source, st.sampled_from(["local", "docker-image", "git"]), NAMES)
    )

    def more(below: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        env = st.dictionaries(st.sampled_from(["A", "B", "PATH"]), TEXTS).map(lambda found: tuple(found.items()))
        argv = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
        tight = st.builds(Confinement, st.sampled_from(Network))
        return st.one_of(
            st.builds(Exec, below, argv, env, ABSOLUTE, mounts=st.lists(mounts(below), max_size=2).map(tuple),
                      confinement=tight, notes=notes),
            st.builds(Copy, below, below, st.lists(paths(), min_size=1, max_size=2).map(tuple), ABSOLUTE, notes=notes),
            st.builds(Mkdir, below, ABSOLUTE, st.integers(0, 0o7777), notes=notes),
            st.builds(Write, below, ABSOLUTE, st.binary(max_size=20), st.integers(0, 0o7777), notes=notes),
            st.builds(Remove, below, ABSOLUTE, st.booleans(), st.booleans(), notes=notes),
            st.builds(Link, below, ABSOLUTE, ABSOLUTE, notes=notes),
            st.builds(lambda a, b: Merge((a, b)), below, below),
        )  # fmt: skip

    return st.recursive(starts, more, max_leaves=largest)


def configurations(platform: str = "linux/amd64") -> st.SearchStrategy[dict[str, Json]]:
    """Image configurations (config.md) without rootfs and created, and without history."""
    os_name, architecture = platform.split("/")[:2]
    settings = st.fixed_dictionaries(
        {},
        optional={
            "Env": st.dictionaries(st.sampled_from(["PATH", "A", "B"]), TEXTS).map(
                lambda found: [f"{name}={value}" for name, value in found.items()]
            ),
            "Cmd": st.lists(TEXTS, max_size=3),
            "Entrypoint": st.lists(TEXTS, min_size=1, max_size=3),
            "User": st.sampled_from(["", "0", "1000:1000", "www"]),
            "WorkingDir": ABSOLUTE,
            "Labels": st.dictionaries(NAMES, TEXTS, max_size=3),
            "ExposedPorts": st.sampled_from([{}, {"80/tcp": {}}, {"53/udp": {}, "80/tcp": {}}]),
        },
    )
    return settings.map(lambda found: {"os": os_name, "architecture": architecture, "config": found, "history": []})


def definitions(largest: int = 8) -> st.SearchStrategy[Definition]:
    """Whole definitions of one or two targets, by the rules of `img.ir.definition.Target`: the last node is their layer."""

    def target(node: Node, config: dict[str, Json], platform: str) -> Target:
        architecture = platform.split("/")[1]
        layered = not isinstance(node, Scratch | Source)
        history = [{"created_by": "x"}] if layered else []
        made = {**config, "architecture": architecture, "history": history}
        return Target(node, made, platform, (node.digest,) if layered else ())

    one = st.builds(target, nodes(largest), configurations(), st.sampled_from(["linux/amd64", "linux/arm64"]))
    return st.lists(one, min_size=1, max_size=2).map(lambda found: Definition(tuple(found)))


def documents() -> st.SearchStrategy[dict[str, Json]]:
    """Documents of the frontends yaml and toml as data: one stage over nothing, with files, folders and configuration."""
    words = st.text(st.characters(exclude_characters="\0$", exclude_categories=CONTROLS), min_size=1, max_size=12)
    clean = st.from_regex(r"\A/[a-z][a-z0-9]{0,7}(/[a-z][a-z0-9]{0,7})?\Z")
    step = st.one_of(
        st.builds(lambda path, text: {"write": {"path": path, "text": text}}, clean, words),
        st.builds(lambda path: {"mkdir": path}, clean),
        st.builds(lambda name, value: {"env": {name: value}}, st.sampled_from(["A", "B_2"]), words),
    )
    return st.fixed_dictionaries(
        {"from": st.just("scratch"), "steps": st.lists(step, min_size=1, max_size=4)},
        optional={
            "labels": st.dictionaries(st.from_regex(r"\A[a-z]{1,6}\Z"), words, min_size=1, max_size=2),
            "cmd": st.lists(words, min_size=1, max_size=3),
            "expose": st.lists(st.integers(1, 65535), min_size=1, max_size=2, unique=True),
        },
    )
