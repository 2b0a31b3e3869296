"""Builds on a backend that takes whole graphs (`img.ports.GraphBackend`): what differs from steps run one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from img import backends
from img.engine import Engine
from img.errors import ImgError, UsageError
from img.ir.definition import Definition
from img.ir.nodes import Scratch, Source
from img.ir.walk import topological
from img.observe import tell_cached
from img.outputs import Output, export
from img.ports import Exported, GraphBackend, GraphBuild, Snapshot
from img.request import BuildResult, Options
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
    def of(cls, options: Options, backend: GraphBackend, wanted: Sequence[Output], alone: bool = True) -> Farm:
        """Raises `UsageError` for options that would have no effect, and for the backend's own exporters if the build is
        not `alone`."""
        name = options.backend
        given = (("--cache-mount-from", options.cache_mount_from), ("--cache-mount-to", options.cache_mount_to))
        for flag, value in given:
            if value:
                raise UsageError(f"{flag} has no effect with --backend {name}: cache mounts stay where it runs")
        own = [output for output in wanted if output[0] == name]
        if own and not alone:
            raise UsageError(f"type={name} is for one build at a time", hint="leave the output out, or build alone")
        return cls(name, backend, options, own, [output for output in wanted if output[0] != name])

    @property
    def returns(self) -> bool:
        """Whether the results have to come back: for other outputs, or because nothing else is asked for."""
        return bool(self.rest) or not self.own

    def result(self, engine: Engine, definition: Definition, cache: Cache) -> BuildResult:
        """Build, and hand the results to the other outputs' exporters. Raises what `snapshots` and exporters raise."""
        snapshots = self.snapshots(engine, definition, cache)
        result = BuildResult((), (), definition.warnings, tuple(snapshots))
        if self.rest:
            result = export(engine, definition, snapshots, self.rest)
        lines = tuple(one.line for one in self.exported)
        facts = {name: value for one in self.exported for name, value in one.facts.items()}
        return replace(result, lines=(*lines, *result.lines), facts={**facts, **result.facts})

    def snapshots(self, engine: Engine, definition: Definition, cache: Cache) -> Sequence[Snapshot]:
        """What every target yields; none if nothing is to come back. The backend is not asked for what the store knows,
        unless something else is wanted of it, and not for what it says it can't do. Raises `BackendError` for a step that
        takes such an ability, what `GraphBackend.solve` raises, and `ImgError` if a step ran that ``--expect-cached`` wants
        to be cached."""
        goals = [target.root for target in definition.targets]
        cache.pin_all(goals)
        known = [snapshot for goal in goals if (snapshot := cache.goal(goal)) is not None]
        if len(known) == len(goals) and not self.own and not self.options.cache_to:
            tell_cached(engine.emit, topological(goals))
            return known
        backends.require(engine, self.name, self.backend, topological(goals))
        engine.store.sweep()
        engine.busy = True
        try:
            return self._make(definition, cache)
        finally:
            engine.busy = False

    def _make(self, definition: Definition, cache: Cache) -> Sequence[Snapshot]:
        options, outputs = self.options, [attrs for _, attrs in self.own]
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
