"""What a COPY costs that has to look at its base: told when a base is downloaded for nothing else.

A file step has to know what is at its destination (docs/decisions/0026). Where neither outlines nor the bytes are here, the
whole base is fetched. If no step and no output of the build needs these bytes besides, that is said once for each base, with
the steps that do it and how to be spared it. Nothing is looked up for it: what is not known to be unneeded is not told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from img.events import Warning
from img.ir.nodes import Copy, Diff, Link, Merge, Mkdir, Node, Scratch, Source, Write
from img.ir.walk import base_of, topological
from img.oci.reference import Reference
from img.outputs import leaves_base
from img.ports import Result, Snapshot
from img.settings import human

if TYPE_CHECKING:
    from img.engine import Engine
    from img.ir.definition import Definition

LOOKING = (Copy, Mkdir, Write, Link)
"""Steps that only look at what they stand on."""
SHOWN = 3
"""Steps named in one warning."""


class Landing:
    """For one run over one graph. `undecided` gives the nodes that have to be made, inputs first."""

    def __init__(
        self,
        engine: Engine,
        definition: Definition,
        outputs: Sequence[tuple[str, Mapping[str, str]]],
        undecided: Callable[[], Sequence[Node]],
    ) -> None:
        self._engine = engine
        self._roots = [target.root for target in definition.targets]
        self._kept = not all(leaves_base(kind, attrs) for kind, attrs in outputs)
        self._names = [name for _, attrs in outputs for name in attrs.get("name", "").split(",") if name]
        self._undecided = undecided
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def before(self, node: Node, inputs: Sequence[Result]) -> None:
        """Note that `node` is about to be made from `inputs`. Safe from several threads."""
        if self._kept or not isinstance(node, LOOKING) or not isinstance(base := inputs[0], Snapshot):
            return
        store = self._engine.store
        size = store.layers.awaited(base.layers)
        if not size or store.outlines.suffice(base):
            return
        with self._lock:
            grounds = _grounds(self._roots)
            ground = grounds[node.digest]
            if not isinstance(ground, Source) or ground.digest in self._told:
                return
            self._told.add(ground.digest)
            nodes = self._undecided()
            if not any(_reads(one, ground, grounds) for one in nodes):
                steps = [one for one in nodes if isinstance(one, LOOKING) and grounds[one.digest] == ground]
                self._tell(ground, size, steps)

    def _tell(self, ground: Source, size: int, steps: Sequence[Node]) -> None:
        places = ", ".join(_shown(step) for step in steps[:SHOWN])
        more = f" and {len(steps) - SHOWN} more" if len(steps) > SHOWN else ""
        message = (
            f"{human(size)} of {_name(ground)} are downloaded only because {places}{more} must look at what is at the "
            f"destination: its layers have no table of contents, and no cache tells. {remedy(steps)}"
            f"{self._elsewhere(ground)}"
        )
        place = next((step.notes.place for step in steps), None)
        self._engine.emit(Warning(message, place, time.monotonic()))

    def _elsewhere(self, ground: Source) -> str:
        """What is to be said of registries that may need the bytes themselves."""
        home = Reference.parse(ground.ref).registry if ground.scheme == "docker-image" else ""
        others = sorted({Reference.parse(name).registry for name in self._names} - {home})
        return f" ({', '.join(others)} will be sent what it lacks of them all the same)" if others else ""


def remedy(steps: Sequence[Node]) -> str:
    """What would spare a build the download of what `steps` stand on."""
    others = [step for step in steps if not isinstance(step, Copy)]
    ways = ["--cache-from a cache that was written with --cache-to", "a base of eStargz or zstd:chunked layers"]
    if len(others) < len(steps):
        named = f" (and without {_word(others[0])})" if others else ""
        if any(part and not part.isdigit() for step in steps for part in getattr(step, "owner", "").split(":")):
            named = f" and owners by number{named}"
        ways.insert(0, f"COPY --link{named}")
    return f"None of it is needed with {', with '.join(ways[:-1])}, or with {ways[-1]}"


def _shown(step: Node) -> str:
    place = step.notes.place
    title = step.notes.title.rpartition("] ")[2] or step.step
    words = title if len(title) <= 60 else f"{title[:59]}…"
    return f"{words} ({place.file}:{place.line})" if place is not None else words


def _name(ground: Source) -> str:
    """What people call an image."""
    return ground.ref.partition("@")[0] or ground.ref


def _word(step: Node) -> str:
    return step.notes.title.rpartition("] ")[2].partition(" ")[0] or step.step


def _grounds(roots: Sequence[Node]) -> dict[str, Node]:
    """What each node stands on in the end: the first of its `img.ir.walk.chain`."""
    found: dict[str, Node] = {}
    for node in topological(roots):
        below = base_of(node)
        found[node.digest] = node if below is None else found[below.digest]
    return found


def _reads(node: Node, ground: Node, grounds: Mapping[str, Node]) -> bool:
    """Whether making `node` takes bytes of the image `ground`, or of something that may hold it."""
    read = [grounds[below.digest] for below in _read(node)]
    return any(one == ground or not isinstance(one, Source | Scratch) for one in read)


def _read(node: Node) -> Sequence[Node]:
    """The inputs whose bytes a node reads."""
    if isinstance(node, Copy):
        return (node.source,)
    return () if isinstance(node, (*LOOKING, Merge, Diff)) else node.inputs
