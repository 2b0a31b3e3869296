"""``--cache-mount-from`` and ``--cache-mount-to``: a new cache mount starts from what another machine kept; those that a
build used are kept at its end.

Places are those of remote caches (`img.ports.CachePlugin`). Looking there costs no more than for those: what is late or
broken is a warning, and the mount starts empty. What is kept is merged with what others kept meanwhile; only content that
is not there yet travels.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

from img.engine import Engine
from img.errors import CacheMoved, FileError, ImgError, UsageError
from img.events import Warning
from img.files.entry import Entry
from img.files.listing import read_listing, write_listing
from img.mounts.index import Files, Mounted, Pack, document, merged, parse
from img.oci.compress import Hashing, decompressed, gzip_chunks
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.solver.remote import plugin_of, within
from img.solver.watched import Watched, deadline
from img.store.blobs import CHUNK
from img.store.forms import LayerBlob
from img.store.locks import locked, shared
from img.store.pipes import read_from, write_to

TRIES = 10
"""How often something is gathered again that changed meanwhile."""
REFUSED = frozenset(("mode", "compression", "compression-level", "force-compression"))
"""Attributes of caches of steps that say nothing here."""
PACKS = 24
"""Packs of one mount; more are made one."""

Attrs = Mapping[str, str]


class Found:
    """What one place has."""

    def __init__(self, mounts: Mapping[str, Mounted], origin: Mapping[str, str], mark: str) -> None:
        self.mounts = mounts
        self.origin = origin
        self.mark = mark


class RemoteMounts:
    """See `img.ports.CacheMounts`; for one build."""

    def __init__(self, engine: Engine, sources: Sequence[Attrs], dests: Sequence[Attrs]) -> None:
        """Raises `UsageError`. Nobody is asked yet."""
        self._engine = engine
        for attrs in (*sources, *dests):
            if attrs.get("type") == "inline" or not REFUSED.isdisjoint(attrs):
                words = "type=inline" if attrs.get("type") == "inline" else min(REFUSED & attrs.keys())
                raise UsageError(f"cache mounts can't be kept with {words}", hint="type=registry,ref=… or type=local,…")
        self._from = [(attrs, plugin_of(engine, attrs, writes=False)) for attrs in sources]
        self._to = [(attrs, plugin_of(engine, attrs, writes=True)) for attrs in dests]
        self._found: list[Found] | None = None
        self._used: dict[str, tuple[str, str]] = {}
        self._base: dict[str, Files] = {}
        self._lock = threading.Lock()

    # --- coming --------------------------------------------------------------------------------------------

    def used(self, name: str, id: str, target: str) -> None:
        """A step uses the mount, so it is kept."""
        self._used[name] = (id, target)

    def fill(self, name: str, place: str) -> bool:
        """Make the folder `place` from the first place that has this mount; False if none has, or none can give it."""
        for found in self._places():
            mounted = found.mounts.get(name)
            if mounted is None:
                continue
            try:
                self._restore(mounted, found.origin, place)
            except ImgError as error:
                if self._engine.cancelled:
                    raise
                self._warn(f"the cache mount {mounted.target} starts empty: {error.message}")
                return False
            self._base[name] = mounted.files
            return True
        return False

    def _places(self) -> list[Found]:
        with self._lock:
            if self._found is None:
                self._found = [found for attrs, plugin in self._from if (found := self._ask(attrs, plugin))]
            return self._found

    def _ask(self, attrs: Attrs, plugin: Any) -> Found | None:
        try:
            return within(self._engine, deadline(self._engine.settings), lambda: _load(attrs, plugin))
        except ImgError as error:
            if self._engine.cancelled:
                raise
            self._warn(f"no cache mounts from {_name(attrs)}: {error.message}")
            return None

    def _restore(self, mounted: Mounted, origin: Mapping[str, str], place: str) -> None:
        store, call = self._engine.store, self._engine.sandbox.call
        scratch = store.scratch()
        try:
            where: dict[str, str] = {}
            for number, pack in enumerate(mounted.needed()):
                folder = scratch / str(number)
                folder.mkdir(mode=0o755)
                self._unpack(pack, origin, os.fspath(folder))
                where |= {digest: f"{folder}/{digest[7:]}" for digest in pack.holds}
            entries = [e._replace(source=where.get(e.digest, "")) for e in mounted.files.values()]
            write_listing(scratch / "listing", entries)
            (scratch / "new").mkdir(mode=0o755)
            call("img.oci.diff:make_tree", os.fspath(scratch / "listing"), os.fspath(scratch / "new"))
            call("img.mounts.jobs:move", os.fspath(scratch / "new"), place)
        finally:
            call("img.oci.diff:remove_tree", os.fspath(scratch))

    def _unpack(self, pack: Pack, origin: Mapping[str, str], folder: str) -> None:
        blob = pack.blob.descriptor
        blobs = self._engine.store.blobs
        with _opened(self._engine, origin, blob) as stream:
            blobs.write(iter(lambda: stream.read(CHUNK), b""), blob.digest, blob.size)
        try:
            plain = Hashing(decompressed(blobs.chunks(blob.digest), blob.media_type))
            write_to(plain, self._engine.sandbox.call, "img.oci.apply:unpack_archive", folder)
        finally:
            blobs.remove(blob.digest)

    # --- going ---------------------------------------------------------------------------------------------

    def save(self) -> list[str]:
        """Keep the mounts that were used; returns a line for people for each place. Raises `ImgError`, but for places
        with ``ignore-error``, which are warnings."""
        lines: list[str] = []
        for attrs, plugin in self._to if self._used else ():
            try:
                lines.append(self._save(attrs, plugin))
            except ImgError as error:
                if attrs.get("ignore-error") not in ("true", "1"):
                    raise
                self._warn(f"cache mounts were not kept in {_name(attrs)}: {error.message}")
        return lines

    def _save(self, attrs: Attrs, plugin: Any) -> str:
        own = {name: value for name, value in attrs.items() if name != "type"}
        for attempt in range(TRIES):
            made: list[str] = []
            before = _load(_as_source(attrs), plugin)
            try:
                gone = _gone(before, plugin)
                mounts = {name: one.without(gone) for name, one in before.mounts.items()}
                for name in sorted(self._used):
                    mounts[name] = self._merged(name, mounts.get(name), made)
                if mounts == before.mounts:
                    return f"cache mounts in {_name(attrs)} are as they were"
                blobs = {p.blob.descriptor.digest: p.blob for one in mounts.values() for p in one.packs}
                data = json.dumps(document(mounts), separators=(",", ":")).encode("ascii")
                where: str = plugin.save(own, data, list(blobs.values()), before.mark)
                return f"cache mounts to {where}"
            except CacheMoved:
                time.sleep(0.05 * (attempt + 1) * (1 + os.getpid() % 7))
            finally:
                for digest in made:
                    self._engine.store.blobs.remove(digest)
        raise CacheMoved(f"others keep writing to {_name(attrs)}", hint="try again later, or use another name")

    def _merged(self, name: str, theirs: Mounted | None, made: list[str]) -> Mounted:
        """One mount as it is here and there, with a pack for what the place lacks."""
        id, target = self._used[name]
        there = theirs or Mounted(id, target)
        for attempt in range(TRIES):
            try:
                return self._gathered(name, there, Mounted(id, target), made)
            except FileError:
                if attempt + 1 == TRIES:
                    raise
        raise AssertionError("unreachable")

    def _gathered(self, name: str, there: Mounted, ours: Mounted, made: list[str]) -> Mounted:
        store, call = self._engine.store, self._engine.sandbox.call
        scratch = store.scratch()
        with ExitStack() as held:
            held.callback(call, "img.oci.diff:remove_tree", os.fspath(scratch))
            held.enter_context(locked(store.root / "locks" / f"cache-{name}", lambda: self._engine.cancelled))
            held.callback(shared(store.root / "locks" / f"use-{name}").release)
            listing = scratch / "listing"
            call("img.mounts.jobs:scan_mount", os.fspath(store.root / "cache-mounts" / name), os.fspath(listing))
            here = {entry.path: entry for entry in read_listing(listing)}
            files = merged(here, there.files, self._base.get(name, {}))
            bare = {path: entry._replace(source="") for path, entry in files.items()}
            packs = Mounted("", "", bare, there.packs).needed()
            local = {entry.digest: entry for entry in here.values() if entry.kind == "file"}
            if len(packs) >= PACKS:
                packs = tuple(pack for pack in packs if not _live(pack, bare) <= local.keys())
            known = {digest for pack in packs for digest in pack.holds}
            new = {e.digest: local[e.digest] for e in bare.values() if e.kind == "file" and e.digest not in known}
            if new:
                packs = (*packs, self._pack(new, os.fspath(scratch / "pack"), made))
        return Mounted(ours.id, ours.target, bare, packs)

    def _pack(self, files: Mapping[str, Entry], listing: str, made: list[str]) -> Pack:
        rows = [Entry(d[7:], "file", 0o644, size=e.size, digest=d, source=e.source) for d, e in sorted(files.items())]
        write_listing(listing, rows)
        plain = Hashing(read_from(self._engine.sandbox.call, "img.oci.diff:tar_listing", listing))
        digest, size = self._engine.store.blobs.write(gzip_chunks(plain))
        made.append(digest)
        return Pack(LayerBlob(Descriptor(OCI_LAYER_GZIP, digest, size), plain.digest), frozenset(files))

    def _warn(self, message: str) -> None:
        self._engine.emit(Warning(message, None, time.monotonic()))


def _live(pack: Pack, files: Files) -> set[str]:
    return {entry.digest for entry in files.values() if entry.digest in pack.holds}


def _gone(found: Found, plugin: Any) -> frozenset[str]:
    """The packs that a place has lost. Raises `ImgError`."""
    packs = {p.blob.descriptor.digest: p.blob.descriptor for one in found.mounts.values() for p in one.packs}
    gone: frozenset[str] = plugin.missing(found.origin, list(packs.values())) if packs else frozenset()
    return gone


def _opened(engine: Engine, origin: Mapping[str, str], blob: Descriptor) -> IO[bytes]:
    return Watched(engine, origin, blob)


def _load(attrs: Attrs, plugin: Any) -> Found:
    """What a place has now; nothing if it is new. Raises `ImgError`."""
    own = {name: value for name, value in attrs.items() if name != "type"}
    parts = plugin.load(own)
    if not parts:
        return Found({}, {"cache": attrs["type"]}, "")
    return Found(parse(parts[0].document), {"cache": attrs["type"], **parts[0].origin}, parts[0].mark)


def _as_source(attrs: Attrs) -> Attrs:
    """The attributes that read what these write."""
    return {"src" if name == "dest" else name: value for name, value in attrs.items() if name != "ignore-error"}


def _name(attrs: Attrs) -> str:
    return attrs.get("ref") or attrs.get("src") or attrs.get("dest") or attrs.get("bucket") or attrs["type"]
