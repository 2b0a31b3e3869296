"""One number that a store is kept below while builds run: the setting ``store_max``.

Before, after and now and then during each step, and when a blob grows or an unpacked layer has come, the store is measured,
work in flight included. If it is too large, what was used longest ago goes until it fits: first layers, blobs, cache mounts
and checkouts that no image needs, then unpacked layers that an image has as blobs too. What the running build has looked
at or made stays (`img.store.using`). If that alone is too much, the build fails. So the number is only ever exceeded by
what came since the last look.

While other builds run on the store only cache mounts go, as any layer may be one that they count on: the store may be too
large until the next step of a build that is alone on it. Sizes of layers and blobs, which never change, are measured once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from img.errors import StoreError
from img.events import Event, Warning
from img.store.prune import take_cache, take_regular, throw_away
from img.store.usage import Usage, own_paths, things

if TYPE_CHECKING:
    from img.ports import Sandbox
    from img.store.store import Store

SMALL = 1 << 20
"""Bytes of a blob that is no layer and too small to be worth making anew: manifests, configurations."""


class Limit:
    """Keeps `store` at `most` bytes. Safe from several threads."""

    def __init__(
        self,
        store: Store,
        sandbox: Callable[[], Sandbox],
        most: int,
        emit: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._most = most
        self._emit = emit
        self._lock = threading.Lock()
        self._sizes: dict[tuple[str, int], int] = {}
        self._told = False

    def keep(self) -> None:
        """Make the store fit. Raises `StoreError` if what is in use does not."""
        with self._lock:
            while True:
                found, total = self._measured()
                if total <= self._most:
                    return
                with self._store.alone_now() as alone:
                    gone = self._shrink(found, total - self._most, alone)
                if not gone:
                    break
            if alone:
                raise self._too_small(found, total)
            self._warn(total)

    def finish(self) -> None:
        """Make the store fit when the build is over and needs nothing any more. Raises `StoreError` if it can't."""
        self._store.use.clear()
        self.keep()

    # --- measuring ---------------------------------------------------------------------------------------------------

    def _measured(self) -> tuple[list[Usage], int]:
        """Everything in the store with its size, and the sum with the store's own files and this run's work."""
        from dataclasses import replace

        found = things(self._store)
        rest = [*own_paths(self._store), os.fspath(self._store.tmp)]
        keys = {path: self._key(one, path) for one in found for path in one.paths}
        missing = [path for path, key in keys.items() if key not in self._sizes]
        sizes: list[int] = self._sandbox().call("img.files.disk:measure", [*missing, *rest])
        fresh = dict(zip(missing, sizes, strict=False))
        known = {path: fresh[path] if path in fresh else self._sizes[key] for path, key in keys.items()}
        self._sizes = {key: known[path] for path, key in keys.items() if key[1]}
        measured = [replace(one, size=sum(known[path] for path in one.paths)) for one in found]
        return measured, sum(one.size for one in measured) + sum(sizes[len(missing) :])

    def _key(self, one: Usage, path: str) -> tuple[str, int]:
        """What tells that a path is still what was measured: a layer gets a form more, or a file, and its folder a new
        time. 0: it may change at any time."""
        if one.mutable or one.type == "internal":
            return path, 0
        try:
            return path, os.lstat(path).st_mtime_ns
        except FileNotFoundError:
            return path, 0

    # --- making room -------------------------------------------------------------------------------------------------

    def _shrink(self, found: list[Usage], excess: int, alone: bool) -> bool:
        """Take the least recently used things until `excess` bytes are gone; returns whether anything went."""
        wanted = excess
        spare = sorted((one for one in found if self._spare(one, alone)), key=lambda one: one.used)
        for one in spare:
            if excess <= 0:
                break
            if self._take(one):
                excess -= one.size
        if excess > 0 and alone:
            excess = self._unpacked(found, excess)
        self._empty()
        return excess < wanted

    def _spare(self, one: Usage, alone: bool) -> bool:
        if not one.reclaimable or one.inuse:
            return False
        if one.type == "exec.cachemount":
            return True
        is_document = one.id == _blob(one) and one.size <= SMALL
        return alone and one.type in ("regular", "source.git.checkout") and not is_document

    def _take(self, one: Usage) -> bool:
        """Take one thing unless it is used; returns whether it is gone."""
        if one.type == "exec.cachemount":
            return take_cache(self._store, self._sandbox(), one)
        names = {one.id, *map(_digest, one.paths)}
        with self._store.use.unused(names) as unused:
            if unused != names:
                return False
            if one.type == "regular":
                self._store.outlines.remember([one.id])
                take_regular(self._store, self._sandbox(), [one], forget=False)
            else:
                throw_away(self._store, self._sandbox(), one.paths)
        return True

    def _unpacked(self, found: Iterable[Usage], excess: int) -> int:
        """Take trees of layers whose blob an image keeps; returns what is left to go."""
        for one in sorted(found, key=lambda one: one.used):
            if excess <= 0:
                break
            if one.type != "regular" or not one.shared or len(one.paths) < 2 or not os.path.exists(one.paths[1]):
                continue
            with self._store.use.unused([one.id]) as unused:
                if unused:
                    self._store.outlines.remember([one.id])
                    excess -= one.size - os.stat(one.paths[1]).st_blocks * 512
                    throw_away(self._store, self._sandbox(), one.paths[:1])
        return excess

    def _empty(self) -> None:
        trash = self._store.tmp / "trash"
        if trash.exists():
            self._sandbox().call("img.oci.diff:remove_tree", os.fspath(trash))

    # --- when it does not fit ----------------------------------------------------------------------------------------

    def _warn(self, total: int) -> None:
        if not self._told:
            self._told = True
            words = (
                f"the store has {shown(total)}, more than store_max ({shown(self._most)}): other builds are using it"
            )
            self._emit(Warning(words, None, time.monotonic()))

    def _too_small(self, found: Iterable[Usage], total: int) -> StoreError:
        images = sum(one.size for one in found if one.shared)
        return StoreError(
            f"the store may have {shown(self._most)} (store_max), and what is in use takes {shown(total)}",
            hint=f"raise --store-max, or forget images with img rm: they take {shown(images)} of it",
        )


def _digest(path: str) -> str:
    """The name under which a folder or a blob of the store is used."""
    return f"sha256:{os.path.basename(path)}"


def _blob(one: Usage) -> str:
    """The digest of a blob that is no layer's; empty for other things."""
    return _digest(one.paths[0]) if "/blobs/sha256/" in one.paths[0] else ""


def shown(size: int) -> str:
    """Bytes for people, in the units in which sizes are given."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.4g} {units[0]}"
