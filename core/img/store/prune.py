"""Giving room back.

A build holds a share of the store (`Store.using`). Who has the store alone may take whatever no image needs. While
builds run, any layer or blob may be one that they count on, so then only cache mounts go that nobody uses.

Everything goes by way of this run's tmp, after the rows that name it are gone: killed at any moment, the store is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from img.store.locks import Lock, try_lock
from img.store.usage import Usage, image_blobs, usage, use_lock

if TYPE_CHECKING:
    from img.ports import Sandbox
    from img.store.store import Store


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was taken, and whether the store was ours alone: if not, layers and blobs stayed."""

    taken: tuple[Usage, ...]
    alone: bool

    @property
    def size(self) -> int:
        """Bytes given back."""
        return sum(one.size for one in self.taken)


def prune(
    store: Store, sandbox: Sandbox, wanted: Callable[[Usage], bool], everything: bool = False, keep: int | None = None
) -> Pruned:
    """Take what is reclaimable and `wanted`. With `everything` also what can be made again from an image's blobs: its
    unpacked layers. With `keep` only as much, the least recently used first, as leaves that many bytes in the store."""
    store.sweep()
    lock = store.alone()
    try:
        there = usage(store, sandbox)
        found = [one for one in there if wanted(one)]
        if keep is not None:
            found = _oldest(found, sum(one.size for one in there) - keep, everything, lock is not None)
        caches = [one for one in found if one.type == "exec.cachemount" and take_cache(store, sandbox, one)]
        if lock is None:
            return _finished(store, sandbox, caches, False)
        things = [one for one in found if one.reclaimable and one.type == "regular"]
        remembered = [one for one in found if one.type == "source.local" and one.reclaimable]
        if not remembered:
            for one in found if everything else things:
                store.outlines.remember([one.id])
        take_regular(store, sandbox, things)
        kept = [one for one in found if one.type == "source.git.checkout"]
        throw_away(store, sandbox, [path for one in kept for path in one.paths])
        if remembered:
            _forget(store)
        unpacked = _take_unpacked(store, sandbox, found) if everything else []
        done = _finished(store, sandbox, [*caches, *things, *kept, *unpacked, *remembered], True)
        _tidy(store)
        return done
    finally:
        if lock is not None:
            lock.release()


def _oldest(found: Sequence[Usage], excess: int, everything: bool, alone: bool) -> list[Usage]:
    """The least recently used of `found` that can go, until `excess` bytes are together."""
    chosen: list[Usage] = []
    kinds = ("regular", "exec.cachemount", "source.git.checkout") if alone else ("exec.cachemount",)
    spare = [one for one in found if one.reclaimable and one.type in kinds]
    unpacked = [one for one in found if everything and one.shared and len(one.paths) > 1]
    for one in [*sorted(spare, key=lambda one: one.used), *sorted(unpacked, key=lambda one: one.used)]:
        if excess <= 0:
            break
        chosen.append(one)
        excess -= one.size - (_blob_size(one) if one.shared else 0)
    return chosen


def _blob_size(one: Usage) -> int:
    return os.stat(one.paths[1]).st_blocks * 512 if os.path.exists(one.paths[1]) else 0


def _finished(store: Store, sandbox: Sandbox, taken: Sequence[Usage], alone: bool) -> Pruned:
    trash = store.tmp / "trash"
    if trash.exists():
        sandbox.call("img.oci.diff:remove_tree", os.fspath(trash))
    return Pruned(tuple(sorted(taken, key=lambda one: -one.size)), alone)


def throw_away(store: Store, sandbox: Sandbox, paths: Sequence[str]) -> None:
    """Move things into this run's tmp, whence they are removed in peace."""
    trash = store.tmp / "trash"
    trash.mkdir(exist_ok=True)
    sandbox.call("img.files.disk:move", list(paths), os.fspath(trash / os.urandom(8).hex()))


def take_cache(store: Store, sandbox: Sandbox, one: Usage) -> bool:
    """Take a cache mount, unless a step has just begun to use it."""
    lock = try_lock(use_lock(store, one.id))
    if lock is None:
        return False
    try:
        store.caches.forget(one.id)
        throw_away(store, sandbox, one.paths)
    finally:
        lock.release()
    return True


def take_regular(store: Store, sandbox: Sandbox, things: Sequence[Usage], forget: bool = True) -> None:
    """Take layers and blobs: first the records that end up without a layer, then the rows, then the files. `forget` what
    is remembered as well: needed if documents of images are among them."""
    if not things:
        return
    ids = {one.id for one in things}
    rows = store.database.read("SELECT key, layers FROM records")
    store.database.write("DELETE FROM records WHERE key = ?", *[(key,) for key, layers in rows if _any(layers, ids)])
    store.database.write("DELETE FROM layers WHERE id = ?", *[(id,) for id in ids])
    squashed = store.database.read("SELECT key, blob FROM squashed")
    gone = [(key,) for key, blob in squashed if json.loads(blob)["digest"] in ids]
    store.database.write("DELETE FROM squashed WHERE key = ?", *gone)
    # what is left may have been lowered over, or copied from, what goes: the blobs have it all
    if forget:
        store.database.write("DELETE FROM memory WHERE kind IN (?, ?, ?)", ("pin", "plan", "selection"))
        _drop_recipes(store)
    throw_away(store, sandbox, [path for one in things for path in one.paths])


def _any(layers: str, ids: set[str]) -> bool:
    return not ids.isdisjoint(json.loads(layers))


def _drop_recipes(store: Store) -> None:
    """Recipes name files of other layers. A layer that has another form too needs its recipe no more."""
    for path in (store.root / "layers").iterdir():
        layer = store.layers.get(f"sha256:{path.name}")
        has_blob = layer is not None and layer.descriptor is not None and store.blobs.has(layer.descriptor.digest)
        if has_blob or (path / "tree").exists() or (path / "recorded").exists():
            (path / "listing").unlink(missing_ok=True)
            with suppress(OSError):
                path.rmdir()


def _take_unpacked(store: Store, sandbox: Sandbox, found: Sequence[Usage]) -> list[Usage]:
    """The trees of layers whose blob an image keeps."""
    kept = {os.fspath(store.blobs.path(digest)) for digest in image_blobs(store)}
    taken: list[Usage] = []
    for one in found:
        if one.shared and len(one.paths) > 1 and one.paths[1] in kept and os.path.exists(one.paths[1]):
            (size,) = sandbox.call("img.files.disk:measure", [one.paths[0]])
            taken.append(Usage(one.id, one.type, one.description, size, shared=True, paths=one.paths[:1]))
    if taken:
        throw_away(store, sandbox, [path for one in taken for path in one.paths])
    return taken


def _forget(store: Store) -> None:
    store.database.write("DELETE FROM memory WHERE used >= ?", (0,))
    store.database.write("DELETE FROM stats WHERE ? = ?", (1, 1))


def _tidy(store: Store) -> None:
    """Nobody else is here: make the index small, and drop lock files that dead processes left."""
    store.database.read("VACUUM")
    store.database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in (store.root / "locks").iterdir():
        if path.name.startswith(("cache-", "use-", "make-")):
            lock: Lock | None = try_lock(path)
            if lock is not None:
                lock.release()
