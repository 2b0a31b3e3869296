"""What takes room in a store, thing by thing, and what of it could be given back.

Types are BuildKit's: ``regular`` (layers, and blobs that are none), ``exec.cachemount``, ``source.local`` (what is
remembered of contexts, build files and bases), ``source.git.checkout`` (repositories, and contexts checked out or
unpacked), ``internal`` (the store's own files). Together they are the whole folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from img.errors import ImgError
from img.files.records import SUFFIX
from img.store.locks import try_lock

if TYPE_CHECKING:
    from img.ports import Sandbox
    from img.store.store import Store


@dataclass(frozen=True, slots=True)
class Usage:
    """One thing. Times are Unix times; `paths` are its files and folders."""

    id: str
    type: str
    description: str
    size: int = 0
    """Bytes on disk."""
    reclaimable: bool = True
    """No image needs it, and nobody uses it now."""
    mutable: bool = False
    inuse: bool = False
    shared: bool = False
    """A stored image has it too."""
    created: float = 0.0
    used: float = 0.0
    count: int = 0
    paths: tuple[str, ...] = ()

    def field(self, name: str) -> str:
        """For `img.store.filters`."""
        value = not self.shared if name == "private" else getattr(self, name)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def to_json(self) -> dict[str, Any]:
        """Everything but the paths."""
        names = ("id", "type", "description", "size", "reclaimable", "mutable", "inuse", "shared", "created", "used")
        return {**{name: getattr(self, name) for name in names}, "count": self.count}


class Made(NamedTuple):
    """What made a layer: the newest record that ends with it. `used` is that of the newest record that has it at all."""

    title: str
    created: float
    used: float


def usage(store: Store, sandbox: Sandbox) -> list[Usage]:
    """Everything in the store, largest first. Sizes come from the sandbox, which may look into every tree."""
    found = things(store)
    own = _own_files(store)
    paths = [path for one in found for path in one.paths]
    sizes: list[int] = sandbox.call("img.files.disk:measure", [*paths, *own])
    measured: list[Usage] = []
    position = 0
    for one in found:
        measured.append(_sized(one, sum(sizes[position : position + len(one.paths)])))
        position += len(one.paths)
    remembered = _remembered(store)
    rest = max(0, sum(sizes[position:]) + _folders(store) - remembered.size)
    internal = Usage("index", "internal", "the index of the store", rest, reclaimable=False, inuse=True)
    return sorted([*measured, remembered, internal], key=lambda one: (-one.size, one.id))


def things(store: Store) -> list[Usage]:
    """Everything in the store but its own files, not measured."""
    found = [*_layers(store), *_caches(store), *_sources(store), *_runs(store)]
    claimed = {path for one in found for path in one.paths}
    return found + [one for one in _blobs(store) if one.paths[0] not in claimed]


def own_paths(store: Store) -> list[str]:
    """The store's own files."""
    return _own_files(store)


def _sized(one: Usage, size: int) -> Usage:
    from dataclasses import replace

    return replace(one, size=size)


# --- what images need ----------------------------------------------------------------------------------------------


def image_blobs(store: Store) -> dict[str, str]:
    """Digest of every blob that a stored image needs, with words on what it is."""
    found: dict[str, str] = {}
    for image in store.images.list():
        pending = [image.descriptor.digest]
        while pending:
            digest = pending.pop()
            if digest in found:
                continue
            found[digest] = f"manifest of {image.name}"
            document = _document(store, digest)
            pending += [child["digest"] for child in document.get("manifests", [])]
            if "config" in document:
                found.setdefault(document["config"]["digest"], f"configuration of {image.name}")
            for layer in document.get("layers", []):
                found.setdefault(layer["digest"], f"layer of {image.name}")
    return found


def _document(store: Store, digest: str) -> dict[str, Any]:
    """A manifest or index of the store; empty if it is not there or can't be read."""
    try:
        document = json.loads(store.blobs.read(digest)) if store.blobs.has(digest) else {}
    except (ImgError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


# --- the things ----------------------------------------------------------------------------------------------------


def _layers(store: Store) -> Iterator[Usage]:
    kept = image_blobs(store)
    made = _made(store)
    folders = {path.name for path in (store.root / "layers").iterdir()}
    for id, blob, created in store.database.read("SELECT id, blob, created FROM layers"):
        digest = json.loads(blob)["digest"] if blob else ""
        name = id.removeprefix("sha256:")
        paths = [os.fspath(store.root / "layers" / name)] if name in folders else []
        if digest and store.blobs.path(digest).exists():
            paths.append(os.fspath(store.blobs.path(digest)))
        folders.discard(name)
        if not paths:
            continue
        origin = made.get(id)
        words = (
            origin.title
            if origin and origin.title
            else f"layer of {_image_of(kept, digest)}"
            if digest in kept
            else "pulled layer"
        )
        used = origin.used if origin else created
        shared = digest in kept
        yield Usage(
            id, "regular", words, reclaimable=not shared, shared=shared, created=created, used=used, paths=tuple(paths)
        )
    for name in sorted(folders):
        path = store.root / "layers" / name
        changed = path.stat().st_mtime
        words = "layer unpacked over the layers below it"
        yield Usage(f"sha256:{name}", "regular", words, created=changed, used=changed, paths=(os.fspath(path),))


def _image_of(kept: dict[str, str], digest: str) -> str:
    return kept[digest].partition(" of ")[2]


def _made(store: Store) -> dict[str, Made]:
    rows = store.database.read("SELECT layers, title, created, used FROM records ORDER BY used")
    found: dict[str, Made] = {}
    newest: dict[str, float] = {}
    for layers, title, created, used in rows:
        ids = json.loads(layers)
        newest.update(dict.fromkeys(ids, used))
        if ids:
            found[ids[-1]] = Made(title, created, used)
    pulled = {id: Made("", 0.0, used) for id, used in newest.items()}
    return {**pulled, **{id: made._replace(used=newest[id]) for id, made in found.items()}}


def _blobs(store: Store) -> Iterator[Usage]:
    kept = image_blobs(store)
    for path in sorted((store.root / "blobs" / "sha256").iterdir()):
        digest = f"sha256:{path.name}"
        words = kept.get(digest, "blob that no image has")
        changed = path.stat().st_mtime
        yield Usage(
            digest,
            "regular",
            words,
            reclaimable=digest not in kept,
            shared=digest in kept,
            created=changed,
            used=changed,
            paths=(os.fspath(path),),
        )


def _caches(store: Store) -> Iterator[Usage]:
    known = store.caches.list()
    for path in sorted((store.root / "cache-mounts").iterdir()):
        if path.name.endswith(SUFFIX):
            continue  # owners of the files in one
        row = known.get(path.name)
        words = f"cache mount {row.target} (id {row.id})" if row else "cache mount"
        lock = try_lock(use_lock(store, path.name))
        if lock is not None:
            lock.release()
        changed = path.stat().st_mtime
        yield Usage(
            path.name,
            "exec.cachemount",
            words,
            reclaimable=lock is not None,
            mutable=True,
            inuse=lock is None,
            created=row.created if row else changed,
            used=row.used if row else changed,
            count=row.times if row else 0,
            paths=(os.fspath(path), os.fspath(path) + SUFFIX),
        )


def _sources(store: Store) -> Iterator[Usage]:
    """What `img.store.kept` keeps."""
    for kind, words in (("git", "git repository"), ("trees", "context checked out or unpacked")):
        folder = store.root / "sources" / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            changed = path.stat().st_ctime
            yield Usage(
                path.name,
                "source.git.checkout",
                words,
                mutable=kind == "git",
                created=changed,
                used=changed,
                paths=(os.fspath(path),),
            )


def use_lock(store: Store, name: str) -> Path:
    """The lock that every user of the cache mount `name` has a share of."""
    return store.root / "locks" / f"use-{name}"


def _runs(store: Store) -> Iterator[Usage]:
    for path in sorted((store.root / "tmp").iterdir()):
        if path != store.tmp:
            words = "work of a running build"
            yield Usage(path.name, "internal", words, reclaimable=False, inuse=True, paths=(os.fspath(path),))


def _remembered(store: Store) -> Usage:
    sizes = [
        "SELECT COALESCE(SUM(LENGTH(key) + LENGTH(value) + 32), 0) FROM memory",
        "SELECT COALESCE(SUM(LENGTH(root) + LENGTH(path) + LENGTH(digest) + 32), 0) FROM stats",
    ]
    size = sum(int(store.database.read(sql)[0][0]) for sql in sizes)
    words = "what is remembered of contexts, build files and bases"
    return Usage("remembered", "source.local", words, size, reclaimable=size > 0)


def _own_files(store: Store) -> list[str]:
    names = ("img.db", "img.db-wal", "img.db-shm", "index.json", "oci-layout", "locks")
    others = [path for path in store.root.iterdir() if path.is_file() and path.name not in names]
    return [os.fspath(store.root / name) for name in names] + [os.fspath(path) for path in sorted(others)]


def _folders(store: Store) -> int:
    """The folders that hold everything, themselves."""
    names = (".", "blobs", "blobs/sha256", "layers", "cache-mounts", "tmp", "sources", "sources/git", "sources/trees")
    paths = [store.root / name for name in names]
    return sum(os.lstat(path).st_blocks * 512 for path in paths if path.exists())
