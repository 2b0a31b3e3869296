"""The goal-first look-up: whether a graph's results are there already, without making anything.

Plain synchronous code that imports next to nothing: a fully cached build does no more than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

from img.errors import ImgError
from img.ir.nodes import Copy, Node, Source
from img.ir.walk import topological
from img.ports import Folder, Pin, Result, Snapshot
from img.solver import keys
from img.solver.keys import Key
from img.store.records import Record

if TYPE_CHECKING:
    from img.store.store import Store

T = TypeVar("T")


class Sources(Protocol):
    """What the look-up asks about sources; the session answers through the source plugins."""

    def pin(self, node: Source) -> Pin | None: ...

    def fetch(self, node: Source) -> Result: ...


class Remote(Protocol):
    """Caches of other machines (`img.solver.remote`)."""

    def find(self, node: Node, key: str, fetch: Callable[[Source], Result]) -> Record | None: ...


def placed(node: Source, ask: Callable[[Source], T]) -> T:
    """What `ask` says of a source; its error gets the source's place."""
    try:
        return ask(node)
    except ImgError as error:
        error.place = error.place or node.notes.place
        raise


class Cache:
    """The records of one run. `fresh` says of a node that it must not be taken from the cache."""

    def __init__(
        self,
        store: Store,
        sources: Sources,
        select: keys.Select,
        fresh: Callable[[Node], bool] = lambda node: False,
    ) -> None:
        self.store = store
        self.sources = sources
        self._select = select
        self.fresh = fresh
        self.remote: Remote | None = None
        """Asked for what the store does not know, once a run has begun."""
        self._pinned: dict[str, Key] = {}
        self._above_fresh: set[str] = set()

    def pin_all(self, roots: Iterable[Node]) -> None:
        """Compute the pinned key of every node below `roots`."""
        for node in topological(roots):
            if node.digest not in self._pinned:
                self._pinned[node.digest] = self._pin(node)
            if any(below.digest in self._above_fresh or self.fresh(below) for below in node.inputs):
                self._above_fresh.add(node.digest)

    def pinned(self, node: Node) -> Key:
        """The pinned key of a node that `pin_all` has seen."""
        return self._pinned[node.digest]

    def _pin(self, node: Node) -> Key:
        if isinstance(node, Source):
            pin = placed(node, self.sources.pin)
            return keys.folder_source(node) if pin is None else keys.pinned_source(node, pin)
        selected = None
        if isinstance(node, Copy) and isinstance(node.source, Source):
            found = self.fetch(node.source) if self.sources.pin(node.source) is None else None
            if isinstance(found, Folder):
                selected = self.select(node, found)
        return keys.pinned(node, [self._pinned[below.digest].digest for below in node.inputs], selected)

    def fetch(self, node: Source) -> Result:
        """The files of a source. An error gets the place of the source, if the frontend gave it one."""
        return placed(node, self.sources.fetch)

    def select(self, node: Copy, source: Folder | Snapshot) -> str:
        """The content digest of what a Copy takes. An error gets the place of the Copy."""
        try:
            return self._select(node, source)
        except ImgError as error:
            error.place = error.place or node.notes.place
            raise

    def get(self, node: Node, key: Key) -> Record | None:
        """The record under `key` if every layer of it can still be had."""
        if self.fresh(node):
            return None
        record = self.store.records.get(key.digest)
        if record is not None and not all(map(self.store.layers.available, record.layers)):
            self.store.records.forget(key.digest)
            record = None
        return record

    def by_definition(self, node: Node) -> Record | None:
        """The record under the pinned key. None above a node that must run: what it makes now may be something else,
        which only a content key can tell."""
        return None if node.digest in self._above_fresh else self.find(node, self.pinned(node))

    def find(self, node: Node, key: Key) -> Record | None:
        """What `get` knows, else what a remote cache knows. May wait for one."""
        record = self.get(node, key)
        if record is None and self.remote is not None and not self.fresh(node):
            record = self.remote.find(node, key.digest, self.fetch)
        return record

    def undecided(self, goals: Iterable[Node]) -> list[Node]:
        """What has to be made for `goals` as far as definitions tell, inputs first: a step above one that runs may still
        turn out to be known by its inputs' content."""
        below = topological(goals)
        needed = {goal.digest for goal in goals}
        for node in reversed(below):
            if node.digest in needed and not isinstance(node, Source) and self.by_definition(node) is None:
                needed.update(inner.digest for inner in node.inputs)
            else:
                needed.discard(node.digest)
        return [node for node in below if node.digest in needed]

    def goal(self, node: Node) -> Snapshot | None:
        """What a goal yields, if that is known by its pinned key."""
        record = self.by_definition(node)
        return None if record is None else Snapshot(record.layers)
