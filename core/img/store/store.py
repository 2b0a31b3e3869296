"""The store: a folder that is a valid OCI image layout with our own index beside it.

    oci-layout  index.json  blobs/sha256/…   the images; any tool can read them
    layers/<id>/tree, layers/<id>/listing    unpacked layers and recipes (`img.store.layers`)
    img.db                                   records, names, what is remembered (SQLite, WAL)
    cache-mounts/…                           cache mounts of steps
    sources/git, sources/trees               git repositories, and contexts checked out or unpacked (`img.store.kept`)
    locks/…                                  one file per thing that is being made
    tmp/<run>/…                              a run's own; swept when the run is over, or found dead

Every write goes to tmp and is renamed. Killed at any moment, the store needs no repair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from img.errors import StoreError
from img.store.blobs import Blobs, disk_error
from img.store.caches import Caches
from img.store.database import Database
from img.store.forms import Engine
from img.store.images import Images
from img.store.kept import Kept
from img.store.layers import Layers
from img.store.locks import Lock, shared, try_lock
from img.store.memory import Memory, Stats
from img.store.records import Records
from img.store.sweep import discard
from img.store.using import Using

if TYPE_CHECKING:
    from img.store.cached import CachedLayers
    from img.store.outlines import Outlines
    from img.store.variants import Variants

FOLDERS = ("blobs/sha256", "layers", "cache-mounts", "locks", "tmp")
PRIVATE = ("layers", "cache-mounts", "tmp")


class Alone(NamedTuple):
    """The whole store, to be let go."""

    locks: tuple[Lock, Lock]

    def release(self) -> None:
        for lock in self.locks:
            lock.release()


class Store:
    """An open store, for one run of one process. Close it: that ends the run's lease and sweeps its tmp."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self.root = root
        self._engine = engine
        try:
            self._lay_out()
            self._lease = self._begin()
        except OSError as error:
            raise disk_error(error, root) from error
        database = Database(root / "img.db")
        self.database = database
        self.use = Using()
        self._share: Lock | None = None
        self.blobs = Blobs(root, self.tmp, self.use)
        self.layers = Layers(root, self.tmp, database, self.blobs, engine, self.use)
        self.kept = Kept(root, self.tmp, engine, self.use)
        self.images = Images(root, self.tmp, database)
        self.records = Records(database)
        self.caches = Caches(database)
        self.pins = Memory(database, "pin")
        self.plans = Memory(database, "plan")
        self.downloads = Memory(database, "download")
        self.selections = Memory(database, "selection")
        self.plain = Memory(database, "plain")
        self.contents = Memory(database, "content")
        self.listings = Memory(database, "listing")
        self.journals = Memory(database, "journal")
        self.places = Memory(database, "place")
        self.stats = Stats(database)

    @property
    def variants(self) -> Variants:
        """Blobs of layers in other forms than their own."""
        from img.store.variants import Variants

        return Variants(self.layers, self.blobs, Memory(self.database, "variant"))

    @property
    def outlines(self) -> Outlines:
        """Where the entries of layers are, without their bytes."""
        from img.store.outlines import Outlines

        return Outlines(self.layers, Memory(self.database, "outline"), self._engine, self.tmp)

    @property
    def cached(self) -> CachedLayers:
        """Layers that remote caches have."""
        from img.store.cached import CachedLayers

        return CachedLayers(self.layers, self.blobs, self.database, self._engine)

    def scratch(self) -> Path:
        """A fresh private folder of this run."""
        path = self.tmp / f"work-{os.urandom(6).hex()}"
        path.mkdir(mode=0o755)
        return path

    def close(self) -> None:
        """End the run. May be called twice."""
        if self._lease is not None:
            self.discard(self.tmp)
            self._lease.release()
            self._lease = None
            self.database.close()

    def using(self) -> Lock:
        """A share of the store, for the time of a build or push: nobody prunes layers and blobs meanwhile."""
        self.use.clear()
        self._share = shared(self.root / "locks" / "store")
        return self._share

    def alone(self) -> Alone | None:
        """The store without any build on it, and none that begins before the release; None if there is one."""
        pruning = try_lock(self.root / "locks" / "prune")
        whole = try_lock(self.root / "locks" / "store") if pruning else None
        if pruning and whole is None:
            pruning.release()
        return Alone((whole, pruning)) if whole and pruning else None

    @contextmanager
    def alone_now(self) -> Iterator[bool]:
        """For a run that holds a share: whether it is the only one, and stays so until the block ends. Nobody prunes
        meanwhile, so that the share may be let go for a moment."""
        pruning = try_lock(self.root / "locks" / "prune") if self._share else None
        if pruning is None or self._share is None:
            yield False
            return
        try:
            alone = self._share.upgrade()
            try:
                yield alone
            finally:
                if alone:
                    self._share.downgrade()
        finally:
            pruning.release()

    def sweep(self) -> None:
        """Remove what dead runs left in tmp. Runs are told apart by the lock their process held."""
        for path in (self.root / "tmp").iterdir():
            if path == self.tmp or not path.is_dir():
                continue
            lock = try_lock(self._lock_path(path))
            if lock is not None:
                self.discard(path)
                lock.release()

    def _lay_out(self) -> None:
        if (self.root / "oci-layout").exists():
            self._keep_out()
            return
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self._keep_out()
        mark = self.root / "tmp" / f"oci-layout-{os.urandom(6).hex()}"
        index = self.root / "index.json"
        if not index.exists():
            mark.write_text('{"schemaVersion": 2, "manifests": []}')
            os.replace(mark, index)
        mark.write_text('{"imageLayoutVersion": "1.0.0"}')
        os.replace(mark, self.root / "oci-layout")

    def _keep_out(self) -> None:
        """Let nobody else into folders with files of images, also where the store's folder is open to all: there are setuid
        programs in them, and device nodes."""
        for name in PRIVATE:
            with suppress(OSError):
                if os.stat(self.root / name).st_mode & 0o077:
                    os.chmod(self.root / name, 0o700)

    def _begin(self) -> Lock | None:
        self.tmp = self.root / "tmp" / f"run-{os.getpid()}-{os.urandom(4).hex()}"
        lock = try_lock(self._lock_path(self.tmp))
        if lock is None:
            raise StoreError(f"can't lock {self._lock_path(self.tmp)}")
        self.tmp.mkdir(mode=0o755)
        return lock

    def _lock_path(self, run: Path) -> Path:
        return self.root / "locks" / run.name

    def discard(self, path: Path) -> None:
        """Remove a folder of this run, whoever owns what is in it."""
        discard(path, self._engine)
