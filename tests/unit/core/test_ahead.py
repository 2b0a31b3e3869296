"""Packing ahead: which layers, and that nothing of it can hurt a build."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from img.ahead import Ahead
from img.errors import StoreError
from img.ir.definition import Definition, Target
from img.ir.nodes import Copy, Exec, Node, Scratch, Source
from img.ports import Snapshot

SHELL = ("sh", "-c")
PLAIN = [("image", {"name": "a"})]


def chain_of() -> list[Node]:
    """RUN, RUN, COPY, RUN over nothing."""
    one = Exec(Scratch(), (*SHELL, "one"))
    two = Exec(one, (*SHELL, "two"))
    copied = Copy(two, Source("local", "context"), ("file",), "/file")
    return [one, two, copied, Exec(copied, (*SHELL, "three"))]


class Store:
    """Notes the layers that are packed."""

    def __init__(self, blobs: frozenset[str] = frozenset(), broken: bool = False) -> None:
        self.packed: list[str] = []
        self.threads: set[str] = set()
        self.layers = SimpleNamespace(unpacked=lambda id: id not in blobs, blob=self._blob)
        self._broken = broken

    def _blob(self, group: Sequence[str]) -> None:
        self.threads.add(threading.current_thread().name)
        if self._broken:
            raise StoreError("no room")
        self.packed.extend(group)


def packed(
    store: Store, outputs: Any = PLAIN, closing: Sequence[int] = (0, 1, 2, 3), cancelled: bool = False
) -> list[str]:
    nodes = chain_of()
    target = Target(nodes[-1], {}, "linux/amd64", layers=tuple(nodes[n].digest for n in closing))
    engine: Any = SimpleNamespace(store=store, cancelled=cancelled)
    with Ahead(engine, Definition((target,)), outputs) as ahead:
        for number, node in enumerate(nodes):
            ahead.made(node, Snapshot(tuple(f"layer{n}" for n in range(number + 1))))
    return store.packed


def test_layers_of_steps_but_the_last_are_packed_beside_the_build() -> None:
    store = Store()
    assert packed(store) == ["layer0", "layer1"]
    assert threading.current_thread().name not in store.threads


def test_a_step_that_shares_its_layer_with_another_is_left() -> None:
    assert packed(Store(), closing=(1, 2, 3)) == []
    assert packed(Store(), closing=(0, 2, 3)) == ["layer0"]


def test_a_layer_that_has_a_blob_or_no_tree_is_left() -> None:
    assert packed(Store(blobs=frozenset({"layer0"}))) == ["layer1"]


@pytest.mark.parametrize(
    "attrs", [{"compression": "zstd"}, {"compression-level": "9"}, {"rewrite-timestamp": "true"}], ids=str
)
def test_only_what_an_output_wants(attrs: dict[str, str]) -> None:
    assert packed(Store(), [("registry", attrs)]) == []
    assert packed(Store(), [("registry", attrs), *PLAIN]) == ["layer0", "layer1"]
    assert packed(Store(), [("local", {"dest": "."})]) == []


def test_trouble_and_the_end_of_a_build_are_the_exporters_to_tell() -> None:
    assert packed(Store(broken=True)) == []
    assert packed(Store(), cancelled=True) == []
