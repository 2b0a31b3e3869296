"""Builds on a backend that takes whole graphs (`img.ports.GraphBackend`): what differs from steps run one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from img.engine import Engine
from img.errors import ImgError, UsageError
from img.ir.definition import Definition
from img.ir.nodes import Scratch, Source
from img.outputs import Output
from img.ports import Exported, GraphBackend, GraphBuild, Snapshot
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
    rest: list[Output]
    exported: tuple[Exported, ...] = ()

    @classmethod
    def of(cls, options: Options, backend: GraphBackend, wanted: Sequence[Output]) -> Farm:
        """Raises `UsageError` for options that would have no effect."""
        name = options.backend
        given = (("--cache-mount-from", options.cache_mount_from), ("--cache-mount-to", options.cache_mount_to))
        for flag, value in given:
            if value:
                raise UsageError(f"{flag} has no effect with --backend {name}: cache mounts stay where it runs")
        own = [output for output in wanted if output[0] == name]
        return cls(name, backend, options, own, [output for output in wanted if output[0] != name])

    @property
    def returns(self) -> bool:
        """Whether the results have to come back: for other outputs, or because nothing else is asked for."""
        return bool(self.rest) or not self.own

    @property
    def always(self) -> bool:
        """Whether the backend must be asked even if the store knows every result."""
        return bool(self.own or self.options.cache_to)

    def make(self, engine: Engine, definition: Definition, cache: Cache) -> Sequence[Snapshot]:
        """Have every target made; what comes back is recorded. Raises what `GraphBackend.solve` raises, and `ImgError` if
        a step ran that ``--expect-cached`` wants to be cached."""
        options = self.options
        outputs = [attrs for _, attrs in self.own]
        build = GraphBuild(definition, cache.fresh, self.returns, outputs, options.cache_from, options.cache_to)
        made = self.backend.solve(build)
        self.exported = made.exported
        for target, snapshot in zip(definition.targets, made.snapshots, strict=self.returns):
            if not isinstance(target.root, Scratch | Source):
                key = cache.pinned(target.root).digest
                cache.store.records.put([key], snapshot.layers, target.root.notes.title)
        _expected([node.notes.title for node in made.ran], options)
        return made.snapshots


def _expected(ran: Sequence[str], options: Options) -> None:
    wrong = [title for title in ran if any(fnmatchcase(title, f"*{p}*") for p in options.expect_cached)]
    if wrong:
        raise ImgError(f"{len(wrong)} steps ran that were expected to be cached: {'; '.join(wrong)}")
