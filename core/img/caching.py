"""Remote caches around a build: who is asked, what is lost on the way, and what is kept at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from img.engine import Engine
from img.errors import CacheLost, ImgError, UsageError
from img.events import Warning
from img.ir.definition import Definition, Target
from img.ir.nodes import Node
from img.outputs import layer_groups
from img.ports import Snapshot
from img.request import Options
from img.solver.cachekinds import check_kind
from img.solver.explain import Slot
from img.solver.lookup import Cache

if TYPE_CHECKING:
    from img.oci.packing import Packing
    from img.solver.remote import Remotes

INLINE = "inline"
MODES = ("min", "max")


class Solved(NamedTuple):
    """A graph whose goals are made: the records of the run, and each goal's filesystem."""

    cache: Cache
    snapshots: Sequence[Snapshot]


class Caching:
    """The remote caches of one build. Nothing is imported, and nobody asked, before it is needed."""

    def __init__(self, engine: Engine, options: Options) -> None:
        """Raises `UsageError` for what can't be written."""
        self._engine = engine
        self._from = options.cache_from
        for attrs in options.cache_from:
            check_kind(engine, attrs)
        self._remotes: Remotes | None = None
        self._failed: set[tuple[tuple[str, str], ...]] = set()
        """Caches that gave wrong bytes once; the second time nothing more is asked of them."""
        self._to = [_Kept(engine, attrs) for attrs in options.cache_to]

    @property
    def wanted(self) -> bool:
        """Whether there is anything to look up in."""
        return bool(self._from)

    def remotes(self) -> Remotes:
        """The caches to look up in, asked by now. Raises `UsageError`."""
        if self._remotes is None:
            from img.solver.remote import Remotes

            self._remotes = Remotes(self._engine, self._from)
        self._remotes.start()
        return self._remotes

    def _carry(self, cache: Cache, goals: Sequence[Node], mode: str) -> None:
        """Have the store know of every step of the graph what the caches know, so that none is lost when they are kept: a
        cached goal spares looking at what it was made of."""
        from img.solver.saving import steps_of

        pairs = [(node, cache.pinned(node).digest) for node in steps_of(goals, mode) if not cache.fresh(node)]
        unknown = [pair for pair in pairs if cache.store.records.get(pair[1]) is None]
        if unknown and self._from:
            self.remotes().carry(unknown, cache.fetch)

    def forget(self, error: CacheLost) -> bool:
        """Count on what `error` says is lost no longer, and say so; False if nobody counted on it."""
        cached = self._engine.store.cached
        found = self._engine.store.layers.origin(error.digest)
        if found is not None and "cache" in found[1]:
            place = tuple(sorted(found[1].items()))
            if place in self._failed:
                self._engine.lost.add(place)
            self._failed.add(place)
        count = cached.lose(digest=error.digest)
        count += sum(cached.lose(origin=dict(place)) for place in self._engine.lost)
        if self._remotes is not None:
            self._remotes.lose(error.digest)
        if count:
            self._warn(f"a remote cache does not give what it has: {error.message}; it is built instead")
        return bool(count)

    # --- keeping -------------------------------------------------------------------------------------------

    def embed(self, definition: Definition, solved: Solved) -> Definition:
        """The definition with the images' own cache in their configurations, if that is asked for."""
        if not any(kept.kind == INLINE for kept in self._to):
            return definition
        self._carry(solved.cache, [target.root for target in definition.targets], "min")
        targets = tuple(
            self._embedded(target, snapshot, solved.cache)
            for target, snapshot in zip(definition.targets, solved.snapshots, strict=True)
        )
        return replace(definition, targets=targets)

    def _embedded(self, target: Target, snapshot: Snapshot, cache: Cache) -> Target:
        from img.solver.inline import KEY, inline_document
        from img.solver.saving import records_of, steps_of

        records = records_of(cache, steps_of([target.root], "min"))
        document = inline_document(self._engine.store, layer_groups(target, snapshot), records, target.epoch)
        return replace(target, config={**target.config, KEY: document})

    def save(self, definition: Definition, solved: Solved, steps: Sequence[Slot]) -> list[str]:
        """Write every cache that is asked for; returns a line for people for each. Raises `ImgError`, but for those with
        ``ignore-error``, which are warnings."""
        lines: list[str] = []
        for kept in self._to:
            if kept.kind == INLINE:
                continue
            try:
                lines.append(self._save(kept, definition, solved, steps))
            except ImgError as error:
                if not kept.ignore:
                    raise
                self._warn(f"the cache {kept.name} was not written: {error.message}")
        return lines

    def _save(self, kept: _Kept, definition: Definition, solved: Solved, steps: Sequence[Slot]) -> str:
        from img.oci.mutate import encode
        from img.solver.saving import gather

        pairs = list(zip(definition.targets, solved.snapshots, strict=True))
        groups = [group for target, snapshot in pairs for group in layer_groups(target, snapshot)]
        goals = [target.root for target in definition.targets]
        self._carry(solved.cache, goals, kept.mode)
        while True:
            try:
                index = gather(solved.cache, goals, kept.mode, groups, steps, kept.packing)
                where = kept.plugin.save(kept.attrs, encode(index.document()), index.blobs())
                return f"cache to {where} ({len(index.records)} steps, {len(index.layers)} layers)"
            except CacheLost as error:
                if not self.forget(error):
                    raise

    def _warn(self, message: str) -> None:
        self._engine.emit(Warning(message, None, time.monotonic()))


class _Kept:
    """One ``--cache-to``, checked."""

    def __init__(self, engine: Engine, attrs: Mapping[str, str]) -> None:
        from img.solver.remote import plugin_of

        self.kind = attrs.get("type", "")
        self.plugin: Any = plugin_of(engine, attrs, writes=True)
        self.attrs = {name: value for name, value in attrs.items() if name != "type"}
        self.name = attrs.get("ref") or attrs.get("dest") or attrs.get("bucket") or self.kind
        self.mode = attrs.get("mode") or "min"
        if self.mode not in MODES:
            raise UsageError(f"--cache-to can't be mode={self.mode}", hint=" or ".join(MODES))
        self.ignore = _true(attrs, "ignore-error")
        self.packing = _packing(attrs)


def _packing(attrs: Mapping[str, str]) -> Packing | None:
    kind, level = attrs.get("compression", ""), attrs.get("compression-level", "")
    if not (kind or level or _true(attrs, "force-compression")):
        return None
    from img.oci.packing import Packing

    return Packing.parse(kind or "gzip", level)


def _true(attrs: Mapping[str, str], name: str) -> bool:
    text = attrs.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise UsageError(f"--cache-to {name}={attrs[name]} is neither true nor false")
    return text in ("true", "1")
