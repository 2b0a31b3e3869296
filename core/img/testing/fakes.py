"""Fakes for the seams of the engine: a store in memory, sources, a worker. For testing what stands on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from img.abilities import ALL
from img.digest import digest_of
from img.errors import Cancelled
from img.events import Event
from img.ir.nodes import Node, Source
from img.ports import Availability, Folder, Pin, Result, Snapshot
from img.store.records import Record


class MemoryRecords:
    """`img.store.records.Records` without a file."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}

    def get(self, key: str) -> Record | None:
        return self.rows.get(key)

    def put(self, keys: Sequence[str], layers: Sequence[str], title: str) -> None:
        for key in keys:
            self.rows[key] = Record(tuple(layers), time.time())

    def forget(self, key: str) -> None:
        self.rows.pop(key, None)

    def touch(self, keys: Sequence[str]) -> None:
        """Nothing to do."""


class MemoryDrawer(dict[str, str]):
    """`img.store.memory.Memory` without a file."""

    def set(self, key: str, value: str) -> None:
        self[key] = value

    def fill(self, values: Mapping[str, str]) -> None:
        self.update({key: value for key, value in values.items() if key not in self})


class MemoryStore(SimpleNamespace):
    """As much of `img.store.store.Store` as the solver asks for. `lost` are layers that can't be had any more."""

    def __init__(self, root: Path) -> None:
        (root / "locks").mkdir(exist_ok=True)
        self.lost: set[str] = set()
        layers = SimpleNamespace(available=lambda id: id not in self.lost, blob=self.lost.difference_update)
        drawers = {name: MemoryDrawer() for name in ("plain", "contents", "listings", "journals", "selections")}
        super().__init__(root=root, records=MemoryRecords(), layers=layers, **drawers)


class FakeSources:
    """Sources by reference: text is the pin of an image, a dict of path → content is a local folder."""

    def __init__(self, things: Mapping[str, str | dict[str, str]]) -> None:
        self.things = dict(things)
        self.fetched: list[str] = []

    def pin(self, node: Source) -> Pin | None:
        thing = self.things[node.ref]
        return Pin(thing) if isinstance(thing, str) else None

    def fetch(self, node: Source) -> Result:
        thing = self.things[node.ref]
        if isinstance(thing, str):
            self.fetched.append(node.ref)
            return Snapshot((digest_of(["image", thing]),))
        return Folder(node.ref)


class FakeEngine:
    """Collects events; can be cancelled."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._stop = threading.Event()

    def emit(self, event: Event) -> None:
        self.events.append(event)

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()

    def wait(self, seconds: float) -> None:
        """Pretend to work; raises `Cancelled` when told to stop."""
        if self._stop.wait(seconds):
            raise Cancelled


class FakeWorker:
    """Makes one layer per node whose id is what `act` returns: by default a digest of the node and its inputs."""

    abilities = ALL

    def __init__(self, act: Callable[[Node, Sequence[Result]], str] | None = None) -> None:
        self.ran: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._act = act or (lambda node, inputs: digest_of([node.digest, [repr(result) for result in inputs]]))

    def probe(self) -> Availability:
        return Availability(True, "a fake")

    def run(self, node: Node, inputs: Sequence[Result]) -> Snapshot:
        with self._lock:
            self.ran.append(node.notes.title or node.step)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            id = self._act(node, inputs)
        finally:
            with self._lock:
                self._now -= 1
        below = inputs[0].layers if inputs and isinstance(inputs[0], Snapshot) else ()
        return Snapshot((*below, id))


def select_by_text(things: Mapping[str, Any]) -> Callable[[Any, Any], str]:
    """A `Select` over `FakeSources` folders: the contents of the named paths; over snapshots: the layers."""

    def select(node: Any, source: Any) -> str:
        if isinstance(source, Folder):
            files = things[source.path]
            return digest_of([[path, files.get(path)] for path in node.paths])
        return digest_of([list(source.layers), list(node.paths)])

    return select
