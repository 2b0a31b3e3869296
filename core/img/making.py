"""One build of one graph: its goals made, step by step or by a backend that takes the whole graph, and written out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from img import backends, events, graphs, outputs
from img.ahead import Ahead
from img.caching import Caching, Solved
from img.engine import Engine, Sources
from img.errors import CacheLost, Cancelled, ImgError
from img.ir.definition import Definition
from img.ir.nodes import Copy, Node
from img.ir.walk import topological
from img.landing import Landing
from img.mounts import mounts_of
from img.observe import tell_cached
from img.ports import Folder, GraphBackend, Snapshot
from img.request import BuildResult, Options
from img.room import limited
from img.solver.explain import Journal, read
from img.solver.lookup import Cache

if TYPE_CHECKING:
    from img.store.store import Store


Make = Callable[[Callable[[], None]], Definition]
"""Makes a graph, and calls what it is given if that takes more than remembering it."""


class Making:
    """`name` is what the build is called in the journal, once its graph is known; `stopped`, whether its user stopped it."""

    def __init__(self, engine: Engine, options: Options, name: Callable[[], str], stopped: Callable[[], bool]) -> None:
        self._engine = engine
        self._options = options
        self._name = name
        self._stopped = stopped

    @property
    def _store(self) -> Store:
        return self._engine.store

    def one(self, make: Make, wanted: Sequence[outputs.Output]) -> BuildResult:
        """Build what `make` makes, and write it to the outputs `wanted`."""
        backend = backends.graph(self._engine, self._options.backend)
        if backend is not None:
            return self._farm_out(make, wanted, backend)
        caching = Caching(self._engine, self._options)
        mounts = self._engine.cache_mounts = mounts_of(self._engine, self._options)
        definition = make(self._engine.warm)  # the graph is new, so there will be steps to run
        self._begin(definition)
        with limited(self._engine), Ahead(self._engine, definition, wanted) as ahead:
            result = self._finish(definition, caching, wanted, ahead)
        if mounts is not None:
            return replace(result, lines=(*result.lines, *mounts.save()))
        return result

    def several(
        self, joined: Definition, definitions: Sequence[Definition], wanted: Sequence[Sequence[outputs.Output]]
    ) -> list[BuildResult]:
        """Build the graph `joined` of all `definitions`, and write each of them to its outputs."""
        self._begin(joined)
        every = [output for asked in wanted for output in asked]
        with Ahead(self._engine, joined, every) as ahead:
            rest = iter(self._made(joined, every, ahead))
            return [
                outputs.export(self._engine, one, [next(rest) for _ in one.targets], asked)
                for one, asked in zip(definitions, wanted, strict=True)
            ]

    def _farm_out(self, make: Make, wanted: Sequence[outputs.Output], backend: GraphBackend) -> BuildResult:
        """A build on a backend that takes the whole graph."""
        farm = graphs.Farm.of(self._options, backend, wanted)
        definition = make(lambda: None)
        self._begin(definition)
        with limited(self._engine):
            return farm.result(self._engine, definition, self._cache())

    def _finish(
        self,
        definition: Definition,
        caching: Caching,
        wanted: Sequence[outputs.Output],
        ahead: Ahead,
    ) -> BuildResult:
        """Make the goals and write them out. What turns out to be lost from a remote cache is made after all."""
        while True:
            try:
                solved = self._solve(definition, wanted, caching, ahead)
                result = outputs.export(self._engine, caching.embed(definition, solved), solved.snapshots, wanted)
                break
            except CacheLost as error:
                if self._stopped():
                    raise Cancelled from error
                self._engine.resume()
                if not caching.forget(error):
                    raise
        if self._options.cache_to:
            lines = caching.save(definition, solved, read(self._store, self._name()) or ())
            return replace(result, lines=(*result.lines, *lines))
        return result

    def _begin(self, definition: Definition) -> None:
        """Tell observers what is advised, and which steps there are."""
        for advice in definition.warnings:
            told = events.Warning(advice.message, advice.place, time.monotonic(), advice.rule, advice.url)
            self._engine.emit(told)
        nodes = topological(target.root for target in definition.targets)
        steps = tuple((node.digest, node.notes.title) for node in nodes if node.notes.title)
        self._engine.emit(events.BuildStarted(steps, time.monotonic()))

    def _made(self, joined: Definition, wanted: Sequence[outputs.Output], ahead: Ahead) -> Sequence[Snapshot]:
        """What the targets of several requests yield."""
        backend = backends.graph(self._engine, self._options.backend)
        if backend is None:
            return self._solve(joined, wanted, Caching(self._engine, self._options), ahead).snapshots
        farm = graphs.Farm.of(self._options, backend, wanted, alone=False)
        return farm.snapshots(self._engine, joined, self._cache())

    def _solve(
        self, definition: Definition, wanted: Sequence[outputs.Output], caching: Caching, ahead: Ahead
    ) -> Solved:
        goals = [target.root for target in definition.targets]
        nodes = topological(goals)
        cache = self._cache()
        cache.pin_all(goals)
        journal = self._journal(cache, nodes)
        known = [snapshot for goal in goals if (snapshot := cache.goal(goal)) is not None]
        if len(known) == len(goals):
            tell_cached(self._engine.emit, nodes)
            self._store.records.touch([cache.pinned(goal).digest for goal in goals])
            journal.close()
            return Solved(cache, known)
        if caching.wanted and not self._options.no_cache:
            cache.remote = remotes = caching.remotes()
            journal.elsewhere = remotes.steps
        self._engine.warm()
        landing = Landing(self._engine, definition, wanted, lambda: cache.undecided(goals))
        snapshots = self._run(cache, goals, journal, ahead, landing)
        self._expected(journal)
        return Solved(cache, snapshots)

    def _run(
        self, cache: Cache, goals: Sequence[Node], journal: Journal, ahead: Ahead, landing: Landing
    ) -> list[Snapshot]:
        """What the goals yield, by the solver."""
        from img.solver.run import STEPS, Solver

        self._store.sweep()
        self._engine.busy = True
        try:
            solver = Solver(
                cache,
                partial(backends.for_nodes, self._engine, self._options.backend, lambda: cache.undecided(goals)),
                self._engine,
                int(self._engine.settings.get("steps") or STEPS),
                journal=journal,
                room=self._store.blobs.room,
                made=ahead.made,
                before=landing.before,
            )
            return solver.solve(goals)
        finally:
            self._engine.busy = False
            journal.close()

    def _cache(self) -> Cache:
        options = self._options
        fresh = frozenset(name.lower() for name in options.no_cache_filter)
        return Cache(
            self._store,
            Sources(self._engine),
            self._select,
            lambda node: options.no_cache or node.notes.fresh or node.notes.group.lower() in fresh,
        )

    def _journal(self, cache: Cache, nodes: Sequence[Node]) -> Journal:
        from img.solver.contents import keep_listing

        return Journal(self._store, self._name(), nodes, cache.pinned, partial(keep_listing, self._engine))

    def _expected(self, journal: Journal) -> None:
        """Raises `ImgError` if a step ran that ``--expect-cached`` wants to be cached."""
        from fnmatch import fnmatchcase

        ran = [r for r in journal.ran if any(fnmatchcase(r.title, f"*{p}*") for p in self._options.expect_cached)]
        if ran:
            lines = "; ".join(f"{one.title}: {one.why}" for one in ran)
            raise ImgError(f"{len(ran)} steps ran that were expected to be cached: {lines}", hint="see img explain")

    def _select(self, node: Copy, source: Folder | Snapshot) -> str:
        from img.solver.contents import selection_digest

        return selection_digest(self._engine, node, source)
