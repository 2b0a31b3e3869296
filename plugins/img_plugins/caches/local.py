"""``type=local``: a cache in a folder, which is an OCI image layout. Attributes: ``src`` (with ``tag``, ``digest``) to
read, ``dest`` (with ``tag``) to write; the tag is ``latest`` unless it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from img.digest import sha256
from img.errors import CacheMoved, CorruptBlob, LayerError
from img.oci.closure import closure
from img.oci.layout import REF_NAME, Named, blob_path, read_index, write_folder
from img.oci.spec import Descriptor, Manifest
from img.ports import CacheFound, Host
from img.store.forms import LayerBlob
from img.store.locks import locked
from img_plugins.caches.artifact import LARGEST, checked, index_of, manifest_of, pack
from img_plugins.caches.attrs import check_attrs


class LocalCache:
    """See `img.ports.CachePlugin`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, attrs: Mapping[str, str], writes: bool) -> None:
        where = "dest" if writes else "src"
        check_attrs(attrs, "local", writes, (where, "tag") if writes else (where, "tag", "digest"), where)

    def load(self, attrs: Mapping[str, str]) -> Sequence[CacheFound]:
        """The cache of the tag; nothing if the folder is not there yet."""
        root = Path(attrs["src"]).absolute()
        if not (root / "index.json").exists():
            return []
        tag, digest = attrs.get("tag") or "latest", attrs.get("digest", "")
        for number, entry in enumerate(read_index(root)):
            descriptor = Descriptor.from_json(entry, f"index.manifests[{number}]")
            if descriptor.digest == digest or (not digest and descriptor.annotations.get(REF_NAME) == tag):
                manifest = Manifest.parse(checked(_read(root, descriptor)))
                document = index_of(manifest, lambda blob: _read(root, blob))
                return [] if document is None else [CacheFound(document, {"path": str(root)}, descriptor.digest)]
        return []

    def missing(self, origin: Mapping[str, str], blobs: Sequence[Descriptor]) -> frozenset[str]:
        root = Path(origin["path"])
        return frozenset(one.digest for one in blobs if not (root / blob_path(one.digest)).is_file())

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        path = Path(origin["path"]) / blob_path(descriptor.digest)
        try:
            stream = path.open("rb")
        except OSError as error:
            raise LayerError(f"the cache has no blob {descriptor.digest}: {error.strerror}") from error
        stream.seek(offset)
        return stream

    def save(
        self, attrs: Mapping[str, str], document: bytes, blobs: Sequence[LayerBlob], mark: str | None = None
    ) -> str:
        """Added to the layout; blobs that are there stay as they are, also those of what was there before."""
        root = Path(attrs["dest"]).absolute()
        store = self._host.store
        descriptor, diff_id, data = pack(document)
        image = manifest_of((descriptor, diff_id), blobs)
        own = {sha256(one): one for one in (data, image.config, image.manifest)}

        def chunks(blob: Descriptor) -> Iterator[bytes]:
            if blob.digest in own:
                yield own[blob.digest]
            elif store.blobs.has(blob.digest):
                yield from store.blobs.chunks(blob.digest)
            else:
                yield from _streamed(store.cached.open(blob.digest), blob)

        parts = closure(image.descriptor, lambda one: own[one.digest])
        bare = Descriptor(image.descriptor.media_type, image.descriptor.digest, image.descriptor.size)
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".lock", lambda: self._host.cancelled):
            if mark is not None and _tagged(root, attrs.get("tag") or "latest") != mark:
                raise CacheMoved(f"{root} was written by somebody else meanwhile")
            write_folder(root, [Named(bare, (), (attrs.get("tag") or "latest",))], parts, chunks)
        return f"{attrs['dest']} {image.descriptor.digest}"


def _tagged(root: Path, tag: str) -> str:
    """The digest of what stands under a tag, or empty."""
    if not (root / "index.json").exists():
        return ""
    found = [Descriptor.from_json(entry) for entry in read_index(root)]
    return next((one.digest for one in found if one.annotations.get(REF_NAME) == tag), "")


def _streamed(stream: IO[bytes] | None, blob: Descriptor) -> Iterator[bytes]:
    """A blob's bytes from another cache, verified at the end."""
    import hashlib

    if stream is None:
        raise LayerError(f"nobody has the blob {blob.digest} any more", hint="build again")
    record = hashlib.sha256()
    with stream:
        while data := stream.read(1 << 20):
            record.update(data)
            yield data
    if record.hexdigest() != blob.digest[7:]:
        raise CorruptBlob(f"a cache sent other bytes than {blob.digest}")


def _read(root: Path, descriptor: Descriptor) -> bytes:
    try:
        with (root / blob_path(descriptor.digest)).open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise LayerError(f"the cache {root} has no {descriptor.digest}: {error.strerror}") from error
    if sha256(data) != descriptor.digest:
        raise CorruptBlob(f"the cache {root} has other bytes than {descriptor.digest}")
    return data
