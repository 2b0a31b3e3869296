"""Builds on a backend that takes whole graphs (`img.ports.GraphBackend`): what differs from steps run one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from img.engine import Engine
from img.errors import UsageError
from img.ir.definition import Definition
from img.ir.nodes import Node
from img.outputs import Output
from img.ports import Exported, GraphBackend, GraphBuild, Made, Snapshot
from img.request import Options
from img.solver.lookup import Cache


@dataclass(slots=True)
class Farm:
    """A graph backend, and what one build wants of it. `exported` is what its own exporters have done."""

    name: str
    backend: GraphBackend
    options: Options
    own: list[Output]
    """Outputs of the backend's own exporters: those whose type is its name."""
    rest: bool
    """Whether there are other outputs, for which the results have to come back."""
    exported: tuple[Exported, ...] = ()
    ran: tuple[Node, ...] = ()

    @property
    def always(self) -> bool:
        """Whether the backend must be asked even if the store knows every result."""
        return bool(self.own or self.options.cache_to)

    def make(self, engine: Engine, definition: Definition, cache: Cache) -> Sequence[Snapshot]:
        """Have every target made; what comes back is recorded. Raises what `GraphBackend.solve` raises."""
        options = self.options
        outputs = [attrs for _, attrs in self.own]
        build = GraphBuild(definition, cache.fresh, self.rest, outputs, options.cache_from, options.cache_to)
        made: Made = self.backend.solve(build)
        self.exported, self.ran = made.exported, made.ran
        for target, snapshot in zip(definition.targets, made.snapshots, strict=self.rest):
            if target.root.document()["step"] not in ("SCRATCH", "SOURCE"):
                key = cache.pinned(target.root).digest
                cache.store.records.put([key], snapshot.layers, target.root.notes.title)
        return made.snapshots


def check(name: str, options: Options) -> None:
    """Raises `UsageError` for options that would have no effect on the graph backend `name`."""
    for flag, given in (
        ("--cache-mount-from", options.cache_mount_from),
        ("--cache-mount-to", options.cache_mount_to),
    ):
        if given:
            raise UsageError(f"{flag} can't be used with --backend {name}: its cache mounts stay where it runs")
