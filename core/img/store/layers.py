"""Layers and their forms.

A layer is named by its id: the diff id of a pulled layer, the content digest of one made here. It is kept in one or
more *forms*, each made from another when somebody asks for it, never twice, and verified on the way:

    remote   a descriptor and where it came from       → blob
    recipe   a listing of entries and their sources    → blob, tree
    tree     the unpacked folder, in overlayfs' terms  → blob
    blob     the compressed tar                        → tree

Folders: ``layers/<id>/tree`` (``recorded``, where nobody may give files away) and ``layers/<id>/listing``.
Trees are only touched by jobs in the sandbox, which sees the owners they have in the image.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from img.digest import digest_of
from img.errors import CorruptBlob, FileError, LayerError, StoreError
from img.files.records import SUFFIX, unprivileged
from img.oci.spec import Descriptor
from img.store.blobs import Blobs, disk_error
from img.store.database import Database
from img.store.fetch import coming, fetch_blob
from img.store.forms import Engine, Layer, LayerBlob, Standing, over
from img.store.locks import locked
from img.store.rows import Rows
from img.store.sweep import discard
from img.store.using import Using

if TYPE_CHECKING:
    from img.ports import Snapshot


class Layers:
    """See the module's contract. All methods may be called from several threads and processes at once."""

    def __init__(self, root: Path, tmp: Path, database: Database, blobs: Blobs, engine: Engine, use: Using) -> None:
        self._root = root
        self._tmp = tmp
        self._blobs = blobs
        self._engine = engine
        self._use = use
        self._rows = Rows(database, blobs, use)
        self.get, self.holder, self.origin = self._rows.get, self._rows.holder, self._rows.origin

    # --- what is there -------------------------------------------------------------------------------------

    def available(self, id: str) -> bool:
        """Whether the layer can be had without running anything: as tree, blob, or from where it came."""
        if self._use.there(id, self._tree(id)):
            return True
        layer = self.get(id)
        if layer is None or layer.descriptor is None:
            return False
        return layer.origin is not None or self._blobs.has(layer.descriptor.digest)

    def awaited(self, ids: Sequence[str]) -> int:
        """Bytes of the blobs that would have to be fetched to have all their trees."""
        found = [self._remote(id) for id in dict.fromkeys(ids) if not self._tree(id).exists()]
        return sum(layer.descriptor.size for layer in found if layer is not None and layer.descriptor is not None)

    def standing(self, ids: Sequence[str]) -> list[Standing]:
        """What says where the entries of each layer of a stack are, bottom up, as far as that is here: its tree, one that
        was unpacked over the layers below it, or the listing of its recipe."""
        self._use.note(*ids)
        found: list[Standing] = []
        for number, id in enumerate(ids):
            ways = (self._tree(id), self._dependent(id, [one.path for one in found]), self._recipe(id))
            path = next((path for path in ways if path.exists()), None)
            found.append(Standing(os.fspath(path) if path else "", over(ids, number) if path == ways[1] else id))
        return found

    # --- new layers ----------------------------------------------------------------------------------------

    def add_remote(
        self, diff_id: str, descriptor: Descriptor, origin: Mapping[str, str], *, id: str = "", created: float = 0.0
    ) -> str:
        """Make a layer known that a registry (or another `origin`) holds. Nothing is fetched. Returns its id.

        A layer that is known by another blob keeps that one if it is in the store; descriptor and origin always belong
        together. `id` and `created` (Unix time) are for a layer that was made elsewhere (`img.store.cached`).
        """
        self._rows.point(id or diff_id, diff_id, descriptor, json.dumps(dict(origin)), created)
        return id or diff_id

    def add_blob(self, diff_id: str, descriptor: Descriptor) -> str:
        """Make a layer known whose blob the store has; as `add_remote`, but from nowhere."""
        self._rows.point(diff_id, diff_id, descriptor, "")
        return diff_id

    def add_tree(self, path: Path, id: str) -> str:
        """Take over the folder `path` as the tree of layer `id`. It is removed if the store has that tree."""
        self._rows.insert(id)
        with self._locked(id):
            if self._tree(id).exists():
                discard(path, self._engine)
            else:
                self._move(path, self._tree(id))
        return id

    def add_recipe(self, listing: Path, id: str) -> str:
        """Take over the listing file as the recipe of layer `id`."""
        self._rows.insert(id)
        with self._locked(id):
            self._move(listing, self._folder(id) / "listing")
        return id

    # --- trees ---------------------------------------------------------------------------------------------

    def trees(self, snapshot: Snapshot) -> list[str]:
        """The folder of each layer of `snapshot`, bottom up. Missing ones are made: pulled, unpacked, copied. One is unpacked
        as soon as it is here, while those above it still come."""
        paths: list[str] = []
        with self._coming([id for id in snapshot.layers if not self._tree(id).exists()]) as arrived:
            for id in snapshot.layers:
                arrived(id)
                paths.append(self._make_tree(id, paths))
        return paths

    def _make_tree(self, id: str, lower: Sequence[str]) -> str:
        tree = self._tree(id)
        dependent = self._dependent(id, lower)
        self._use.note(id, f"sha256:{dependent.parent.name}")
        for path in (tree, dependent):
            if path.exists():
                return os.fspath(path)
        with self._locked(id):
            for path in (tree, dependent):
                if path.exists():
                    return os.fspath(path)
            scratch = self._scratch("tree")
            try:
                if self._follow_recipe(id, scratch):
                    path = tree
                else:
                    alone = self._unpack(id, scratch, lower)
                    path = tree if alone else dependent
                self._move(scratch, path)
            except BaseException:
                self._engine.sandbox.call("img.oci.diff:remove_tree", os.fspath(scratch))
                raise
        self._blobs.room()
        return os.fspath(path)

    def _follow_recipe(self, id: str, dest: Path) -> bool:
        """Make the tree from the layer's recipe, if it has one that still holds: the files it names may have changed or
        gone since (a context of a run that is over), which is no loss if there is a blob. Raises `FileError`."""
        recipe, call = self._recipe(id), self._engine.sandbox.call
        if not recipe.exists():
            return False
        try:
            call("img.oci.diff:make_tree", os.fspath(recipe), os.fspath(dest))
        except (FileError, LayerError):
            layer = self._known(id)
            if layer.descriptor is None or not self._blobs.has(layer.descriptor.digest):
                raise
            recipe.unlink()
            call("img.oci.diff:remove_tree", os.fspath(dest))
            dest.mkdir(mode=0o755)
            return False
        return True

    def _unpack(self, id: str, dest: Path, lower: Sequence[str]) -> bool:
        """Unpack the blob; returns whether the tree stands alone, i.e. nothing in it was taken from `lower`."""
        from img.oci.compress import Hashing, decompressed
        from img.store.pipes import write_to

        layer = self._known(id)
        if layer.descriptor is None:
            raise StoreError(f"layer {id} has neither a tree nor a blob", hint="build again with --no-cache")
        descriptor = layer.descriptor
        packed = self._counted(self._blobs.chunks(descriptor.digest), "unpacking", descriptor)
        plain = Hashing(decompressed(packed, descriptor.media_type))
        call = self._engine.sandbox.call
        summary = write_to(plain, call, "img.oci.apply:unpack", os.fspath(dest), list(lower))
        if layer.diff_id and plain.digest != layer.diff_id:
            raise CorruptBlob(
                f"layer {descriptor.digest} unpacks to {plain.digest}, its image says {layer.diff_id}",
                hint="the image is broken: push it again, or use another",
            )
        return not summary.get("used_lower")

    # --- blobs ---------------------------------------------------------------------------------------------

    def promised(self, group: Sequence[str]) -> LayerBlob | None:
        """What the blob of a layer, or of a group as one, is, if it came from a registry or a remote cache: it need not
        be here. None: ask `blob`."""
        if len(group) != 1:
            made = self._rows.squashed(group)
            return made if made is not None and self.origin(made.descriptor.digest) is not None else None
        layer = self.get(group[0])
        if layer is None or layer.descriptor is None or layer.origin is None:
            return None
        return LayerBlob(layer.descriptor, layer.diff_id)

    def blob(self, group: Sequence[str]) -> LayerBlob:
        """The compressed blob of one layer, or of a group of layers as one. Made or fetched if it is not there."""
        if len(group) != 1:
            return self._squashed(tuple(group))
        (id,) = group
        layer = self._known(id)
        if layer.descriptor is not None and self._blobs.has(layer.descriptor.digest):
            return LayerBlob(layer.descriptor, layer.diff_id)
        if layer.origin is not None:
            self.fetch([id])
            return self.blob(group)
        with self._locked(id):
            layer = self._known(id)
            if layer.descriptor is None or not self._blobs.has(layer.descriptor.digest):
                made = self._compress(self._tar_job(id))
                self._rows.packed((id,), made)
                return made
            return LayerBlob(layer.descriptor, layer.diff_id)

    def unpacked(self, id: str) -> bool:
        """Whether the layer has a tree of its own here, and no blob."""
        return self._tree(id).exists() and self.known((id,)) is None

    def known(self, group: Sequence[str]) -> LayerBlob | None:
        """The blob that `blob` would give, if it was made or pulled before and is in the store; nothing is done."""
        if len(group) == 1:
            layer = self.get(group[0])
            found = layer and layer.descriptor and LayerBlob(layer.descriptor, layer.diff_id)
        else:
            found = self._rows.squashed(group)
        return found if found and self._blobs.has(found.descriptor.digest) else None

    def plain(self, group: Sequence[str]) -> Iterator[bytes]:
        """The uncompressed tar of one layer, or of a group as one: the bytes that every blob of it unpacks to. Taken
        from its blob if there is one, since a tree that was unpacked does not give the same tar back."""
        from img.oci.compress import decompressed
        from img.store.pipes import read_from

        if len(group) == 1:
            self.fetch(group)
        if (blob := self.known(group)) is not None:
            descriptor = blob.descriptor
            packed = self._counted(self._blobs.chunks(descriptor.digest), "exporting", descriptor)
            return decompressed(packed, descriptor.media_type)
        return read_from(self._engine.sandbox.call, *self._job(group))

    def fetch(self, ids: Sequence[str]) -> None:
        """Bring the blobs of remote layers into the store, several at once."""
        with self._coming(ids) as arrived:
            for id in ids:
                arrived(id)

    def _coming(self, ids: Sequence[str]) -> AbstractContextManager[Callable[[str], None]]:
        return coming({id: layer for id in ids if (layer := self._remote(id))}, self._fetch)

    def _remote(self, id: str) -> Layer | None:
        layer = self.get(id)
        if layer is None or layer.origin is None or layer.descriptor is None:
            return None
        return None if self._blobs.has(layer.descriptor.digest) else layer

    def _fetch(self, layer: Layer) -> None:
        assert layer.descriptor is not None
        with self._locked(f"blob-{layer.descriptor.digest}"):
            if not self._blobs.has(layer.descriptor.digest):
                fetch_blob(layer, self._blobs, self._engine, self._counted)

    def _squashed(self, group: tuple[str, ...]) -> LayerBlob:
        if (found := self.known(group)) is not None:
            return found
        made = self._compress(self._job(group))
        self._rows.packed(group, made)
        return made

    def _job(self, group: Sequence[str]) -> tuple[str, Any]:
        """The job that writes the tar of a group."""
        if len(group) == 1:
            return self._tar_job(group[0])
        from img.ports import Snapshot

        return "img.oci.squash:squash_trees", self.trees(Snapshot(tuple(group)))

    def _tar_job(self, id: str) -> tuple[str, Any]:
        if self._tree(id).exists():
            return "img.oci.diff:tar_tree", os.fspath(self._tree(id))
        if self._recipe(id).exists():
            return "img.oci.diff:tar_listing", os.fspath(self._recipe(id))
        raise StoreError(f"layer {id} is gone from the store", hint="build again with --no-cache")

    def _compress(self, job: tuple[str, Any]) -> LayerBlob:
        """Run a job that writes a tar, compress and store what it writes, hashing both streams on the way."""
        from img.oci.compress import Hashing, gzip_chunks
        from img.oci.spec import OCI_LAYER_GZIP
        from img.store.pipes import read_from, unless

        plain = Hashing(unless(lambda: self._engine.cancelled, read_from(self._engine.sandbox.call, *job)))
        digest, size = self._blobs.write(gzip_chunks(plain))
        return LayerBlob(Descriptor(OCI_LAYER_GZIP, digest, size), plain.digest)

    # --- places --------------------------------------------------------------------------------------------

    def _known(self, id: str) -> Layer:
        layer = self.get(id)
        if layer is None:
            raise StoreError(f"the store has no layer {id}", hint="build again with --no-cache")
        return layer

    def _folder(self, id: str) -> Path:
        return self._root / "layers" / id.removeprefix("sha256:")

    def _tree(self, id: str) -> Path:
        return self._folder(id) / self._form

    @cached_property
    def _form(self) -> str:
        """The name of the trees that this run makes and uses: recorded ones (`img.files.records`) are of use to nobody
        who can have whole ones."""
        return "recorded" if unprivileged() and self._engine.sandbox.rung in ("one-id", "none") else "tree"

    def _recipe(self, id: str) -> Path:
        return self._folder(id) / "listing"

    def _dependent(self, id: str, lower: Sequence[str]) -> Path:
        """The tree of a layer that took attributes from the layers below: it is only right over just these."""
        return self._folder(digest_of(["over", id, list(lower)])) / self._form

    def _scratch(self, kind: str) -> Path:
        path = self._tmp / f"{kind}-{os.urandom(6).hex()}"
        path.mkdir(mode=0o755)
        return path

    def _move(self, path: Path, dest: Path) -> None:
        try:
            dest.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                os.rename(f"{path}{SUFFIX}", f"{dest}{SUFFIX}")
            os.rename(path, dest)
        except OSError as error:
            raise disk_error(error, dest) from error

    def _locked(self, name: str) -> Any:
        path = self._root / "locks" / name.removeprefix("sha256:").replace(":", "-")
        return locked(path, lambda: self._engine.cancelled)

    def _counted(self, chunks: Iterator[bytes], action: str, descriptor: Descriptor) -> Iterator[bytes]:
        progress: Callable[[str, str, int, int], None] = self._engine.progress
        done = 0
        for data in chunks:
            done += len(data)
            progress(descriptor.digest, action, done, descriptor.size)
            yield data
