"""A session: one store, one set of plugins, any number of builds one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from img import backends, events, outputs
from img.deadline import deadline
from img.engine import Engine
from img.errors import Cancelled, ImgError, UsageError
from img.ir.definition import Definition
from img.ir.values import Confinement, Network
from img.making import Make, Making
from img.observe import Feed
from img.plan import Answers, make_definition
from img.plugin.offers import Offer
from img.plugin.registry import Registry
from img.ports import Availability, FrontendRequest, Report, Reporter, Worker
from img.request import BuildResult, Options, Request
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
    """Use as a context manager. Not for several builds at once; several sessions on one `root` are fine.

    `credentials` are (user, password) by registry host; they go before all others, and are kept nowhere.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, str] | None = None,
        registry: Registry | None = None,
        credentials: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.root = Path(root)
        self.registry = registry or Registry.discover(cache=self.root)
        self.engine = Engine(self.root, settings or {}, self.registry)
        self.engine.logins = dict(credentials or {})
        self._name = ""
        self._stopped = False
        self._over = False

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

    def stop(self) -> None:
        """Cancel what runs, and all that this session would begin after it. Safe from any thread, at any time."""
        self._over = True
        self.cancel()

    def close(self) -> None:
        self.engine.close()

    # --- building ------------------------------------------------------------------------------------------

    def definition(self, request: Request) -> Definition:
        """The graph of `request`, without building it. Raises `FrontendError`, `RegistryError`, `UsageError`."""
        return self._definition(request, lambda: None)

    def _definition(self, request: Request, new: Callable[[], None]) -> Definition:
        frontend, asked = self._asked(request, {})
        return make_definition(self.engine, frontend, asked, new)

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
        """What a build without network, or with one of its own, says of every step: it belongs to their keys, as all of
        a confinement does but its resources."""
        said = self.engine.settings.get("network")
        if given.network is Network.DEFAULT and said in (Network.NONE.value, Network.SANDBOX.value):
            return replace(given, network=Network(said))
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
        return self._build(partial(self._definition, request), request, observers)

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
            return self._making(requests[0]).several(joined, definitions, wanted)

    def build_definition(
        self,
        definition: Definition,
        options: Options = Options(),
        contexts: Mapping[str, Path] | None = None,
        observers: Sequence[Reporter] = (),
    ) -> BuildResult:
        """Build a graph that the caller made. `contexts` are the folders of its ``local`` sources, by name."""
        return self.build_made(lambda: definition, options, contexts, observers)

    def build_made(
        self,
        make: Callable[[], Definition],
        options: Options = Options(),
        contexts: Mapping[str, Path] | None = None,
        observers: Sequence[Reporter] = (),
    ) -> BuildResult:
        """`build_definition` of what `make` makes when events are watched already: it may ask registries."""
        self.engine.contexts = dict(contexts or {})
        self.engine.origins, self.engine.given = {}, {}
        self._given(options)
        self._name = "\n".join(["a definition", *sorted(map(str, self.engine.contexts.values())), *options.tags])
        return self._build(lambda new: make(), options, observers)

    def _build(self, make: Make, options: Options, observers: Sequence[Reporter]) -> BuildResult:
        with self.observed(observers), deadline(self.engine, options.timeout, self.cancel):
            return self._making(options).one(make, outputs.chosen(self.engine, options))

    def _making(self, options: Options) -> Making:
        return Making(self.engine, options, lambda: self._name, lambda: self._stopped)

    @contextmanager
    def observed(self, observers: Sequence[Reporter]) -> Iterator[None]:
        """Events go to `observers` for the time of one command."""
        started, ok = time.monotonic(), False
        share = self.store.using()
        feed = Feed(observers, self.registry.author, lambda: self.registry.load("reporter", "plain")(self.engine))
        self.engine.reset()
        self._stopped = False
        self.engine.sink = feed.emit
        self.registry.tell = feed.warn
        for words in self.registry.told:
            feed.warn(words)
        try:
            if self._over:
                raise Cancelled
            yield
            ok = True
        finally:
            share.release()
            now = time.monotonic()
            feed.emit(events.BuildDone(ok, now - started, now))
            feed.close()
            self.engine.sink = lambda event: None
            self.registry.tell = lambda words: None

    def _given(self, options: Options) -> None:
        self.engine.secrets = dict(options.secrets)
        self.engine.agents = dict(options.ssh)
        if options.pull:
            self.engine.settings["pull"] = options.pull

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
