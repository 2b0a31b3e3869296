"""A session: one store, one set of plugins, any number of builds one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from img import backends, events, graphs, outputs
from img.caching import Caching, Solved
from img.engine import Engine, Sources
from img.errors import CacheLost, Cancelled, ImgError, UsageError
from img.ir.definition import Definition
from img.ir.nodes import Copy, Node
from img.ir.values import Confinement, Network
from img.ir.walk import topological
from img.mounts import mounts_of
from img.observe import Feed, tell_cached
from img.plan import Answers, make_definition
from img.plugin.offers import Offer
from img.plugin.registry import Registry
from img.ports import Availability, Folder, FrontendRequest, GraphBackend, Report, Reporter, Snapshot, Worker
from img.request import BuildResult, Options, Request
from img.room import limited
from img.solver.explain import Journal, read
from img.solver.lookup import Cache
from img.syntax import chosen

if TYPE_CHECKING:
    from img.contexts.listing import Listing
    from img.contexts.main import Main
    from img.oci.spec import Descriptor
    from img.ports import Registries
    from img.store.prune import Pruned
    from img.store.store import Store
    from img.store.usage import Usage

__all__ = ["BuildResult", "Options", "Request", "Session"]


class Session:
    """Use as a context manager. Not for several builds at once; several sessions on one `root` are fine."""

    def __init__(self, root: Path, settings: Mapping[str, str] | None = None, registry: Registry | None = None) -> None:
        self.root = Path(root)
        self.registry = registry or Registry.discover(cache=self.root)
        self.engine = Engine(self.root, settings or {}, self.registry)
        self._name = ""
        self._stopped = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def store(self) -> Store:
        return self.engine.store

    def cancel(self) -> None:
        """Stop the running build. Safe from a signal handler and from any thread."""
        self._stopped = True
        self.engine.cancel()

    def close(self) -> None:
        self.engine.close()

    # --- building ------------------------------------------------------------------------------------------

    def definition(self, request: Request) -> Definition:
        """The graph of `request`, without building it. Raises `FrontendError`, `RegistryError`, `UsageError`."""
        frontend, asked = self._asked(request, {})
        return make_definition(self.engine, frontend, asked)

    def call(self, request: Request, name: str, options: Mapping[str, str] | None = None) -> Report:
        """Ask the frontend a question about the build file (`img.ports.Frontend.call`); nothing is built.

        `options` go to the frontend with what the engine tells it. Raises what `definition` raises.
        """
        frontend, asked = self._asked(request, options or {})
        report: Report = self.engine.load("frontend", frontend).call(name, asked, Answers(self.engine))
        return report

    def _asked(self, request: Request, options: Mapping[str, str]) -> tuple[str, FrontendRequest]:
        """The frontend for `request`, and what it is asked."""
        main = self._open(request)
        name, text = main.file, main.text or b""
        place = os.path.realpath(name) if os.path.isfile(name) else name
        self._name = "\n".join([place, request.context, request.target, *request.platforms])
        from img.oci.platform import host_platform

        asked = FrontendRequest(
            file=name,
            text=text,
            args=request.args,
            target=request.target,
            platforms=request.platforms,
            build_platform=str(host_platform()),
            labels=request.labels,
            contexts=request.contexts,
            confinement=self._confined(request.confinement),
            allow=request.allow,
            options={**main.options, **options},
        )
        self.engine.settings["allow"] = " ".join(sorted(request.allow))
        return chosen(self.registry, request, name, text), asked

    def _confined(self, given: Confinement) -> Confinement:
        """What a build without network says of every step: it belongs to their keys, as all of a confinement does."""
        if given.network is Network.DEFAULT and self.engine.settings.get("network") == Network.NONE.value:
            return replace(given, network=Network.NONE)
        return given

    def _open(self, request: Request, need_file: bool = True) -> Main:
        """The main context, with the named ones ready to be asked for."""
        from img.contexts.main import open_main

        self.engine.contexts, self.engine.origins, self.engine.given = {}, {}, {}
        self._given(request)
        if request.contexts:
            from img.contexts.named import normal_names

            self.engine.given = normal_names(request.contexts)
        main = open_main(self.engine, request, need_file)
        self.engine.contexts["context"] = main.folder
        if main.source is not None:
            self.engine.origins["context"] = main.source
        return main

    def listing(self, request: Request) -> Listing:
        """What a build of `request` would see of its context. Raises what opening it raises, and `FileError`."""
        from img.contexts.listing import Listing

        with self.observed(()):
            return Listing(self._open(request, need_file=False))

    def build(self, request: Request, observers: Sequence[Reporter] = ()) -> BuildResult:
        """Build and export what `request` names. Raises `ImgError`; then nothing half-made is recorded or written."""
        return self._build(lambda: self.definition(request), request, observers)

    def build_all(self, requests: Sequence[Request], observers: Sequence[Reporter] = ()) -> list[BuildResult]:
        """Build several requests over one context as one graph: what they share is made once. How it runs (cache,
        backend) is what the first says. Raises `UsageError` for requests of different contexts, and what `build` raises."""
        if not requests:
            return []
        if any(_surroundings(request) != _surroundings(requests[0]) for request in requests):
            raise UsageError("builds in one graph have one context, and one set of secrets and agents")
        with self.observed(observers):
            wanted = [outputs.chosen(self.engine, request) for request in requests]
            definitions = [self.definition(request) for request in requests]
            joined = Definition(
                tuple(target for one in definitions for target in one.targets),
                tuple(dict.fromkeys(advice for one in definitions for advice in one.warnings)),
            )
            self._name = "\n".join([requests[0].context, requests[0].file, *(request.target for request in requests)])
            self._begin(joined)
            rest = iter(self._made(joined, requests[0], [output for each in wanted for output in each]))
            return [
                outputs.export(self.engine, one, [next(rest) for _ in one.targets], asked)
                for one, asked in zip(definitions, wanted, strict=True)
            ]

    def _made(self, joined: Definition, options: Options, wanted: Sequence[outputs.Output]) -> Sequence[Snapshot]:
        """What the targets of several requests yield."""
        if (backend := backends.graph(self.engine, options.backend)) is None:
            return self._solve(joined, options, Caching(self.engine, options)).snapshots
        farm = graphs.Farm.of(options, backend, wanted, alone=False)
        return farm.snapshots(self.engine, joined, self._cache(options))

    def build_definition(
        self,
        definition: Definition,
        options: Options = Options(),
        contexts: Mapping[str, Path] | None = None,
        observers: Sequence[Reporter] = (),
    ) -> BuildResult:
        """Build a graph that the caller made. `contexts` are the folders of its ``local`` sources, by name."""
        self.engine.contexts = dict(contexts or {})
        self.engine.origins, self.engine.given = {}, {}
        self._given(options)
        self._name = "a definition"
        return self._build(lambda: definition, options, observers)

    def _build(self, make: Callable[[], Definition], options: Options, observers: Sequence[Reporter]) -> BuildResult:
        with self.observed(observers):
            wanted = outputs.chosen(self.engine, options)
            if (backend := backends.graph(self.engine, options.backend)) is not None:
                return self._farm_out(make, options, wanted, backend)
            caching = Caching(self.engine, options)
            mounts = self.engine.cache_mounts = mounts_of(self.engine, options)
            self._begin(definition := make())
            with limited(self.engine):
                result = self._finish(definition, options, caching, wanted)
            if mounts is not None:
                return replace(result, lines=(*result.lines, *mounts.save()))
            return result

    def _farm_out(
        self, make: Callable[[], Definition], options: Options, wanted: Sequence[outputs.Output], backend: GraphBackend
    ) -> BuildResult:
        """A build on a backend that takes the whole graph."""
        farm = graphs.Farm.of(options, backend, wanted)
        self._begin(definition := make())
        with limited(self.engine):
            return farm.result(self.engine, definition, self._cache(options))

    def _finish(
        self, definition: Definition, options: Options, caching: Caching, wanted: Sequence[outputs.Output]
    ) -> BuildResult:
        """Make the goals and write them out. What turns out to be lost from a remote cache is made after all."""
        while True:
            try:
                solved = self._solve(definition, options, caching)
                result = outputs.export(self.engine, caching.embed(definition, solved), solved.snapshots, wanted)
                break
            except CacheLost as error:
                if self._stopped:
                    raise Cancelled from error
                self.engine.resume()
                if not caching.forget(error):
                    raise
        if options.cache_to:
            lines = caching.save(definition, solved, read(self.store, self._name) or ())
            return replace(result, lines=(*result.lines, *lines))
        return result

    def _begin(self, definition: Definition) -> None:
        """Tell observers what is advised, and which steps there are."""
        for advice in definition.warnings:
            told = events.Warning(advice.message, advice.place, time.monotonic(), advice.rule, advice.url)
            self.engine.emit(told)
        nodes = topological(target.root for target in definition.targets)
        steps = tuple((node.digest, node.notes.title) for node in nodes if node.notes.title)
        self.engine.emit(events.BuildStarted(steps, time.monotonic()))

    @contextmanager
    def observed(self, observers: Sequence[Reporter]) -> Iterator[None]:
        """Events go to `observers` for the time of one command."""
        started, ok = time.monotonic(), False
        share = self.store.using()
        feed = Feed(observers)
        self.engine.reset()
        self._stopped = False
        self.engine.sink = feed.emit
        try:
            yield
            ok = True
        finally:
            share.release()
            now = time.monotonic()
            feed.emit(events.BuildDone(ok, now - started, now))
            feed.close()
            self.engine.sink = lambda event: None

    def _given(self, options: Options) -> None:
        self.engine.secrets = dict(options.secrets)
        self.engine.agents = dict(options.ssh)
        if options.pull:
            self.engine.settings["pull"] = options.pull

    def _solve(self, definition: Definition, options: Options, caching: Caching) -> Solved:
        goals = [target.root for target in definition.targets]
        nodes = topological(goals)
        cache = self._cache(options)
        cache.pin_all(goals)
        journal = self._journal(cache, nodes)
        known = [snapshot for goal in goals if (snapshot := cache.goal(goal)) is not None]
        if len(known) == len(goals):
            tell_cached(self.engine.emit, nodes)
            self.store.records.touch([cache.pinned(goal).digest for goal in goals])
            journal.close()
            return Solved(cache, known)
        if caching.wanted and not options.no_cache:
            cache.remote = remotes = caching.remotes()
            journal.elsewhere = remotes.steps
        self.engine.warm()
        from img.solver.run import STEPS, Solver

        steps_at_once = int(self.engine.settings.get("steps") or STEPS)
        self.store.sweep()
        self.engine.busy = True
        try:
            worker = backends.on_demand(self.engine, options.backend)
            solver = Solver(cache, worker, self.engine, steps_at_once, journal=journal, room=self.store.blobs.room)
            snapshots = solver.solve(goals)
        finally:
            self.engine.busy = False
            journal.close()
        self._expected(journal, options)
        return Solved(cache, snapshots)

    def _cache(self, options: Options) -> Cache:
        fresh = frozenset(name.lower() for name in options.no_cache_filter)
        return Cache(
            self.store,
            Sources(self.engine),
            self._select,
            lambda node: options.no_cache or node.notes.group.lower() in fresh,
        )

    def _journal(self, cache: Cache, nodes: Sequence[Node]) -> Journal:
        from functools import partial

        from img.solver.contents import keep_listing

        return Journal(self.store, self._name, nodes, cache.pinned, partial(keep_listing, self.engine))

    def _expected(self, journal: Journal, options: Options) -> None:
        """Raises `ImgError` if a step ran that ``--expect-cached`` wants to be cached."""
        from fnmatch import fnmatchcase

        ran = [r for r in journal.ran if any(fnmatchcase(r.title, f"*{p}*") for p in options.expect_cached)]
        if ran:
            lines = "; ".join(f"{one.title}: {one.why}" for one in ran)
            raise ImgError(f"{len(ran)} steps ran that were expected to be cached: {lines}", hint="see img explain")

    def _select(self, node: Copy, source: Folder | Snapshot) -> str:
        from img.solver.contents import selection_digest

        return selection_digest(self.engine, node, source)

    # --- backends ------------------------------------------------------------------------------------------

    def backend(self, name: str = "") -> Worker:
        """The backend of that name, or the first that works here. Raises `BackendError` with every reason."""
        return backends.chosen(self.engine, name)

    # --- the rest of the commands --------------------------------------------------------------------------

    @property
    def registries(self) -> Registries:
        """Registries: pull, log in and out, check."""
        found: Registries = self.engine.load("registry", "distribution")
        return found

    def pull(
        self, name: str, platforms: Sequence[str] = (), every: bool = False, observers: Sequence[Reporter] = ()
    ) -> Descriptor:
        """Pull an image into the store; returns what its name stands for. See `img.ports.Registries.pull`."""
        with self.observed(observers):
            return self.registries.pull(name, platforms, every)

    def push(self, name: str, observers: Sequence[Reporter] = ()) -> str:
        """Push the stored image `name` to the registry it names; returns its digest."""
        from img.oci.reference import Reference

        reference = str(Reference.parse(name))
        descriptor = self.store.images.get(reference)
        if descriptor is None:
            raise ImgError(f"the store has no image {reference}", hint="img ls shows what there is")
        with self.observed(observers):
            digest: str = self.engine.load("exporter", "registry").push(reference, descriptor)
            return digest

    def usage(self, filters: Sequence[str] = ()) -> list[Usage]:
        """What takes room in the store, largest first. Raises `UsageError` for a filter that is none."""
        from img.store.filters import parse_filters
        from img.store.usage import usage

        wanted = parse_filters(filters)
        self.store.sweep()
        return [one for one in usage(self.store, self.engine.sandbox) if wanted(one)]

    def prune(self, filters: Sequence[str] = (), everything: bool = False, keep: int | None = None) -> Pruned:
        """Give back what no image needs; with `keep` only the least recently used, until so many bytes are left. See
        `img.store.prune`. Raises `UsageError` for a filter that is none."""
        from img.store.filters import parse_filters
        from img.store.prune import prune

        return prune(self.store, self.engine.sandbox, parse_filters(filters), everything, keep)

    def plugins(self) -> list[tuple[Offer, str, str, Availability | None]]:
        """Every offer with its distribution and version; backends also say whether they work here."""
        versions = self.registry.distributions()
        return [
            (
                offer,
                distribution,
                versions.get(distribution, ""),
                backends.probed(self.engine, offer.name) if offer.kind == "backend" else None,
            )
            for offer, distribution in self.registry.offers()
        ]

    def doctor(self) -> Report:
        """What RUN stands on here, what the other rungs and backends lack, and what unlocks each. Status 1: RUN works
        nowhere."""
        from img.doctor import examine, report

        backends = [(offer.name, found) for offer, _, _, found in self.plugins() if found is not None]
        return report(examine(self.store.scratch()), backends)


def _surroundings(request: Request) -> tuple[object, ...]:
    """What the engine holds for the time of one build."""
    return request.context, request.contexts, request.secrets, request.ssh
