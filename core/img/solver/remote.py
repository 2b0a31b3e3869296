"""Looking results up in caches of other machines, beside the build.

Every cache is asked for its index by a thread of its own, as soon as a build has something to make. Who looks a key up
waits until the indexes are there, but never past the deadline, which is counted once from the start of the build: a
cache that is late is simply not used before it has come. A result that is found gets its layers entered into the store
as remote ones; their bytes are fetched when somebody needs them. Whatever goes wrong is one warning and a miss.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from img.errors import Cancelled, ImgError, PluginError
from img.events import Warning
from img.ir.nodes import Node, Source
from img.ir.walk import topological
from img.oci.spec import Descriptor
from img.ports import Host, Result
from img.solver.cachekinds import check_kind
from img.solver.explain import Slot
from img.solver.index import CachedLayer, CachedRecord, CacheIndex
from img.solver.watched import deadline, place_of
from img.store.records import Record

T = TypeVar("T")

Attrs = Mapping[str, str]


def plugin_of(host: Any, attrs: Attrs, writes: bool) -> Any:
    """The plugin for a cache, its attributes checked. Raises `UsageError`."""
    kind = attrs.get("type", "")
    check_kind(host, attrs)
    plugin = host.load("cache", kind)
    plugin.check({name: value for name, value in attrs.items() if name != "type"}, writes)
    return plugin


def within(host: Host, seconds: float, act: Callable[[], T]) -> T:
    """What `act` gives, if it does so in that time. Raises `PluginError` if not, its `ImgError`, and `Cancelled`."""
    answer: list[T | ImgError] = []
    done = threading.Event()

    def run() -> None:
        try:
            answer.append(act())
        except ImgError as error:
            answer.append(error)
        except Exception as error:
            answer.append(PluginError(f"{type(error).__name__}: {error}"))
        done.set()

    threading.Thread(target=run, name="cache", daemon=True).start()
    until = time.monotonic() + seconds
    while not done.wait(0.02):
        if host.cancelled:
            raise Cancelled
        if time.monotonic() > until:
            raise PluginError(f"it does not answer within {seconds:g} s")
    if isinstance(answer[0], ImgError):
        raise answer[0]
    return answer[0]


class _Loaded:
    """One part of a cache that has come: what it knows by key, and where its blobs are."""

    def __init__(self, plugin: Any, index: CacheIndex, origin: Mapping[str, str]) -> None:
        self.plugin = plugin
        self.index = index
        self.origin = origin
        self.by_key = {key: record for record in index.records for key in record.keys}
        self.there: set[str] = set()
        self.gone: set[str] = set()


class _Asked:
    """One cache that was asked."""

    def __init__(self, plugin: Any, attrs: Attrs) -> None:
        self.name = attrs.get("ref") or attrs.get("src") or attrs.get("bucket") or attrs["type"]
        self._kind = attrs["type"]
        self._plugin = plugin
        self._attrs = {name: value for name, value in attrs.items() if name != "type"}
        self.done = threading.Event()
        self.parts: list[_Loaded] = []
        self.error = ""
        self.told = False

    def run(self) -> None:
        try:
            for document, origin, _ in self._plugin.load(self._attrs):
                index = CacheIndex.parse(document)
                self.parts.append(_Loaded(self._plugin, index, {"cache": self._kind, **origin}))
        except ImgError as error:
            self.error = error.message
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        self.done.set()


class Remotes:
    """The caches of one build, in the order in which they are asked. Safe from several threads."""

    def __init__(self, engine: Any, asked: Sequence[Attrs]) -> None:
        """Raises `UsageError`; nobody is asked before `start`."""
        self._host: Host = engine
        self._lost: set[tuple[tuple[str, str], ...]] = engine.lost
        self._caches = [_Asked(plugin_of(engine, attrs, writes=False), attrs) for attrs in asked]
        self._deadline = deadline(engine.settings)
        self._until = 0.0
        self._lock = threading.Lock()
        self._digests: set[str] = set()
        self._filled: set[int] = set()

    def start(self) -> None:
        """Ask all of them. Calling it again does nothing."""
        if not self._until:
            self._until = time.monotonic() + self._deadline
            for cache in self._caches:
                threading.Thread(target=cache.run, name="cache", daemon=True).start()

    def lose(self, digest: str) -> None:
        """A blob can't be had, whatever the caches say."""
        self._digests.add(digest)

    # --- looking up ----------------------------------------------------------------------------------------

    def find(self, node: Node, key: str, fetch: Callable[[Source], Result]) -> Record | None:
        """The result under `key`, entered into the store; None if no cache has it, or not in time."""
        for part in self._parts():
            record = part.by_key.get(key)
            if record is not None and self._usable(part, record, node, fetch):
                self._enter(part, [record])
                return Record(record.layers, time.time())
        return None

    def carry(self, nodes: Iterable[tuple[Node, str]], fetch: Callable[[Source], Result]) -> None:
        """Enter what the caches know of nodes (each with its pinned key), so that it can be kept with a new cache. Whether
        the blobs are still there shows when they are wanted."""
        for node, key in nodes:
            for part in self._parts():
                record = part.by_key.get(key)
                if record is not None and self._known(part, record, node, fetch):
                    self._enter(part, [record])
                    break

    def steps(self) -> tuple[Slot, ...] | None:
        """The journal that came with the first cache that has one."""
        return next((part.index.steps for part in self._parts(wait=False) if part.index.steps), None)

    def _usable(self, part: _Loaded, record: CachedRecord, node: Node, fetch: Callable[[Source], Result]) -> bool:
        return self._known(part, record, node, fetch) and self._verified(part, record)

    def _known(self, part: _Loaded, record: CachedRecord, node: Node, fetch: Callable[[Source], Result]) -> bool:
        """Whether all layers of a record are somewhere. Those of its bases are told to the store first."""
        if self._absent(part, record):
            for source in topological([node]):
                if isinstance(source, Source) and source.is_image:
                    fetch(source)
        return not self._absent(part, record)

    def _absent(self, part: _Loaded, record: CachedRecord) -> list[str]:
        """The layers of a record that neither the store nor the cache has."""
        return [id for id in record.layers if not self._host.store.layers.available(id) and not self._offered(part, id)]

    def _offered(self, part: _Loaded, id: str) -> CachedLayer | None:
        layer = part.index.layers.get(id)
        if layer is None or layer.blob.descriptor.digest in self._digests | part.gone:
            return None
        return layer

    def _verified(self, part: _Loaded, record: CachedRecord) -> bool:
        """Whether the cache still has the blobs of a record that the store lacks: all are asked for at once."""
        blobs: dict[str, Descriptor] = {}
        for id in record.layers:
            layer = None if self._host.store.layers.available(id) else self._offered(part, id)
            if layer is not None and layer.blob.descriptor.digest not in part.there:
                blobs[layer.blob.descriptor.digest] = layer.blob.descriptor
        if not blobs:
            return True
        try:
            missing = within(self._host, self._deadline, lambda: part.plugin.missing(part.origin, list(blobs.values())))
        except Cancelled:
            raise
        except ImgError as error:
            self._lost.add(place_of(part.origin))
            self._warn(f"a remote cache can't be used: {error.message}")
            return False
        part.gone.update(missing)
        part.there.update(blobs.keys() - missing)
        return not missing

    def _enter(self, part: _Loaded, records: Sequence[CachedRecord]) -> None:
        store = self._host.store
        for record in records:
            for id in record.layers:
                layer = self._offered(part, id)
                if layer is not None:
                    store.cached.add(id, layer.blob, part.origin, layer.created)
            for group, blob in part.index.squashed.items():
                if set(group) <= set(record.layers) and blob.descriptor.digest not in self._digests:
                    store.cached.add_squashed(group, blob, part.origin)
            store.records.put(record.keys, record.layers, record.title)
            if len(record.keys) == 2:
                store.contents.set(*record.keys)

    # --- waiting -------------------------------------------------------------------------------------------

    def _parts(self, wait: bool = True) -> list[_Loaded]:
        """What has come, of all caches in order."""
        found: list[_Loaded] = []
        for cache in self._caches:
            if wait and not self._await(cache.done):
                self._late(cache)
            if not cache.done.is_set():
                continue
            if cache.error:
                self._once(cache, f"the cache {cache.name} can't be used: {cache.error}")
                continue
            for part in cache.parts:
                if place_of(part.origin) not in self._lost:
                    self._fill(part)
                    found.append(part)
        return found

    def _await(self, done: threading.Event) -> bool:
        while not done.is_set():
            left = self._until - time.monotonic()
            if left <= 0:
                return False
            if self._host.cancelled:
                raise Cancelled
            done.wait(min(left, 0.1))
        return True

    def _late(self, cache: _Asked) -> None:
        self._once(cache, f"the cache {cache.name} has not answered within {self._deadline:g} s: building goes on")

    def _once(self, cache: _Asked, message: str) -> None:
        with self._lock:
            told, cache.told = cache.told, True
        if not told:
            self._warn(message)

    def _warn(self, message: str) -> None:
        self._host.emit(Warning(message, None, time.monotonic()))

    def _fill(self, part: _Loaded) -> None:
        """Keep the words that came with a cache, once: they explain what the next build has to run, and spare it bases."""
        with self._lock:
            if id(part) in self._filled:
                return
            self._filled.add(id(part))
            self._host.store.plain.fill({key: json.dumps(parts) for key, parts in part.index.words.items()})
            self._host.store.listings.fill(part.index.listings)
            self._host.store.outlines.fill(part.index.outlines)
