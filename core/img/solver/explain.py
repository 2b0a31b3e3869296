"""Why a step ran: what its key was made of, held against what it was made of in the build before.

A build has a *journal*: the steps it asked for, each at its slot (stage and number), with their pinned keys. The parts of
a key in plain words are kept under that key. When a step has to run, the slot's old key leads to the old parts, and the
difference is the reason. Nothing is computed for steps that are cached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from img.digest import digest_of
from img.ir.nodes import Copy, Node, Source
from img.ports import Folder, Snapshot
from img.solver.keys import FILES, Key
from img.solver.listings import differences, printable

if TYPE_CHECKING:
    from img.store.store import Store

Parts = tuple[tuple[str, str], ...]

SHOWN = 60
"""Characters of a value that are shown."""
_SECRET = re.compile(r"(?i)pass|secret|token|key|auth|cred")
_HIDDEN = "hidden:"


class Slot(NamedTuple):
    """One step of a build: where it stands, how people call it, and its pinned key."""

    group: str
    number: int
    title: str
    key: str


class Ran(NamedTuple):
    """A step that had to run, and why. `root` says that the cause lies in the step itself, not in one below."""

    title: str
    why: str
    root: bool


class Journal:
    """The journal of one build. `name` tells builds of one thing from those of another."""

    def __init__(
        self,
        store: Store,
        name: str,
        nodes: Sequence[Node],
        pinned: Callable[[Node], Key],
        keep: Callable[[Copy, Folder | Snapshot, str], None] = lambda node, source, digest: None,
    ) -> None:
        self.keep = keep
        """Keeps the listing of what a Copy took, under its digest."""
        self._store = store
        self._name = name
        self._slots = _slots(nodes, pinned)
        self._keys = {node.digest: pinned(node).digest for node in nodes}
        self._sources = {node.digest: pinned(node) for node in nodes if isinstance(node, Source)}
        self._last = read(store, name)
        self.elsewhere: Callable[[], tuple[Slot, ...] | None] = lambda: None
        """The steps of a build on another machine, which count if there was none here."""
        self._ran: dict[str, Ran] = {}
        self._failed: list[str] = []

    @property
    def _before(self) -> tuple[Slot, ...] | None:
        return self._last if self._last is not None else self.elsewhere()

    @property
    def ran(self) -> tuple[Ran, ...]:
        """The steps that had to run so far, in the order in which they began."""
        return tuple(self._ran.values())

    def started(self, node: Node, content: Key, fresh: bool) -> str:
        """Note that `node` has to run; returns why, empty if it was never built before."""
        parts = content.parts
        ran = (
            Ran(node.notes.title, "cache: false" if node.notes.fresh else "--no-cache", True)
            if fresh
            else self._reason(node, parts)
        )
        self._store.plain.set(self._keys[node.digest], json.dumps(parts))
        self._ran[node.digest] = ran
        return ran.why if self._before else ""

    def found(self, node: Node, content: Key) -> None:
        """Note that `node` was found by the content of its inputs."""
        self._store.plain.set(self._keys[node.digest], json.dumps(content.parts))

    def failed(self, node: Node) -> None:
        """Note that `node` ran and gave no result."""
        self._failed.append(self._keys[node.digest])

    def close(self) -> None:
        """Keep the journal for the next build, and the words of sources, so that it can say which of them moved.
        Written only if there is anything new to say."""
        for source in self._sources.values():
            if self._store.plain.get(source.digest) is None:
                self._store.plain.set(source.digest, json.dumps(source.parts))
        document = [list(map(list, self._slots.values())), [list(ran) for ran in self._ran.values()], self._failed]
        text = json.dumps(document)
        for key, value in ((self._name, text), ("", self._name)):
            if self._store.journals.get(key) != value:
                self._store.journals.set(key, value)

    # --- reasons -------------------------------------------------------------------------------------------

    def _reason(self, node: Node, parts: Parts) -> Ran:
        title = node.notes.title
        if self._before is None:
            return Ran(title, "it was not built before", True)
        slot = self._slots.get(node.digest)
        old = self._old(slot) if slot is not None else None
        if slot is None or old is None:
            return Ran(title, "the step is new", True)
        before = self._parts(old.key)
        if old.key == slot.key:
            return Ran(title, self._unchanged(slot, before), True)
        if before is None:
            return Ran(title, "it changed, and the last build did not get to it", True)
        found, root = self._compare(node, parts, before)
        return Ran(title, "; ".join(found) or "its result is no longer in the store", root)

    def _unchanged(self, slot: Slot, before: Parts | None) -> str:
        if before is None:
            return "the last build did not get to it"
        if slot.key in json.loads(self._store.journals.get(self._name) or "[[], [], []]")[2]:
            return "it failed the last time"
        return "its result is no longer in the store"

    def _old(self, slot: Slot) -> Slot | None:
        """The step that stood at `slot` in the build before: one of the same words, else one at the same place whose
        words are gone."""
        same = [old for old in self._before or () if old.title == slot.title]
        if same:
            return next((old for old in same if old.group == slot.group), same[0])
        now = {other.title for other in self._slots.values()}
        place = (slot.group, slot.number)
        return next((old for old in self._before or () if old[:2] == place and old.title not in now), None)

    def _parts(self, key: str) -> Parts | None:
        text = self._store.plain.get(key)
        return tuple((str(name), str(value)) for name, value in json.loads(text)) if text else None

    def _compare(self, node: Node, now: Parts, before: Parts) -> tuple[list[str], bool]:
        old, new = dict(before), dict(now)
        own: list[str] = []
        below: list[str] = []
        for name in dict.fromkeys((*new, *old)):
            left, right = old.get(name), new.get(name)
            if left == right or (left and left.startswith(_HIDDEN) and left == _hidden(name, right or "")):
                continue
            if name.startswith("input "):
                below.extend(self._below(node, int(name[6:])))
            elif name == FILES:
                own.extend(differences(self._store, left or "", right or "") or [_files(node)])
            else:
                own.append(_words(name, left, right))
        return (own, True) if own else (list(dict.fromkeys(below)), any(word.startswith("the base ") for word in below))

    def _below(self, node: Node, number: int) -> list[str]:
        """Why an input is another: a base that moved, or a step that ran."""
        if number >= len(node.inputs):
            return []
        source = node.inputs[number]
        if isinstance(source, Source):
            return [self._moved(source)]
        ran = self._ran.get(source.digest)
        title = source.notes.title or source.step
        return [f"{title} made other files" if ran else f"{title} changed"]

    def _moved(self, source: Source) -> str:
        slot = self._slots.get(source.digest)
        old = self._old(slot) if slot is not None else None
        was = dict(self._parts(old.key) or ()) if old is not None else {}
        now = dict(self._sources[source.digest].parts).get("source", source.ref)
        if "source" not in was:
            return f"the base {_short(now)} is another"
        return f"the base is {_short(now)}, was {_short(was['source'])}"


def portable(parts: Parts) -> Parts:
    """The parts of a key as they may leave this machine: values of variables that sound like secrets as digests."""
    return tuple((name, _hidden(name, value) if _is_secret(name) else value) for name, value in parts)


def _hidden(name: str, value: str) -> str:
    return _HIDDEN + digest_of([name, value])[7:19]


def _is_secret(name: str) -> bool:
    kind, _, variable = name.partition(" ")
    return kind == "env" and bool(_SECRET.search(variable))


def read(store: Store, name: str) -> tuple[Slot, ...] | None:
    """The slots of the last build of `name`; None if there was none."""
    text = store.journals.get(name)
    return tuple(Slot(*slot) for slot in json.loads(text)[0]) if text else None


def last(store: Store) -> tuple[str, tuple[Slot, ...], tuple[Ran, ...]] | None:
    """The last build on this store: its name, its steps, and those that ran."""
    name = store.journals.get("")
    text = store.journals.get(name) if name is not None else None
    if name is None or text is None:
        return None
    slots, ran, _ = json.loads(text)
    return name, tuple(Slot(*slot) for slot in slots), tuple(Ran(*row) for row in ran)


def _slots(nodes: Sequence[Node], pinned: Callable[[Node], Key]) -> dict[str, Slot]:
    slots: dict[str, Slot] = {}
    numbers: dict[str, int] = {}
    for node in nodes:
        if node.notes.title:
            group = node.notes.group
            numbers[group] = numbers.get(group, 0) + 1
            slots[node.digest] = Slot(group, numbers[group], node.notes.title, pinned(node).digest)
    return slots


def _words(name: str, left: str | None, right: str | None) -> str:
    """One changed field of an instruction."""
    if name == "command":
        return "the command changed"
    variable = name.partition(" ")[2]
    if _is_secret(name):
        return f"{variable} changed"
    shown = variable or name
    if left is None:
        return f"{shown} is new: {_clip(right or '')}"
    if right is None:
        return f"{shown} is gone, was {_clip(left)}"
    return f"{shown} is {_clip(right)}, was {_clip(left)}"


def _files(node: Node) -> str:
    source = node.inputs[1] if len(node.inputs) > 1 else node
    return f"files of {source.notes.title or 'the context'} changed"


def _clip(text: str) -> str:
    text = printable(text[: SHOWN + 1])
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _short(ref: str) -> str:
    """An image's reference with as much of its digest as people read."""
    name, mark, digest = printable(ref).partition("@sha256:")
    return f"{name}@{digest[:12]}" if mark else name
