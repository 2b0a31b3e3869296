"""Images in the store: found by name or digest, read, and put there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from img.errors import Cancelled, ImgError, StoreError, UsageError
from img.images.provider import Found, Provider, verified
from img.oci.closure import OneImage, closure, images
from img.oci.layout import Named
from img.oci.reference import Reference
from img.oci.spec import Descriptor, Manifest, diff_ids
from img.ports import Host, Snapshot
from img.store.store import Store

THREADS = 4
SHORT = 4
"""Hex digits at least of a digest that stands for an image."""


class Stored:
    """The store as a `Provider`. A layer that is still in its registry is fetched when its bytes are asked for."""

    where = "the store"

    def __init__(self, host: Host) -> None:
        self._host = host

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        store = self._host.store
        if not store.blobs.has(descriptor.digest) and (id := store.layers.holder(descriptor.digest)) is not None:
            store.layers.fetch([id])
        if not store.blobs.has(descriptor.digest):
            raise StoreError(
                f"the store has no blob {descriptor.digest}",
                hint="the image is there for some of its platforms only, or was pruned: pull or build it again",
            )
        return store.blobs.chunks(descriptor.digest)


def find(host: Host, text: str, every_name: bool = False) -> Found:
    """The stored image that `text` names: a name, a digest of its manifest or configuration, or the first digits of one.

    The image goes by that name; found by a digest it has none, as with docker, or with `every_name` all it has. Raises
    `ImgError` if there is none, `UsageError` if there are several.
    """
    provider = Stored(host)
    try:
        reference = Reference.parse(text)
    except UsageError:
        reference = None
    if reference is not None and (known := host.store.images.get(str(reference))) is not None:
        return Found(provider, Named(known, (reference,)))
    if reference is not None and reference.digest and reference.tag:
        known = host.store.images.get(str(Reference(reference.registry, reference.repository, reference.tag)))
        if known is not None and known.digest == reference.digest:
            return Found(provider, Named(known, (reference,)))
    digits = text.removeprefix("sha256:")
    if len(digits) >= SHORT and set(digits) <= set("0123456789abcdef"):
        found = _by_digest(host, digits)
        if len(found) > 1:
            raise UsageError(f"{text} stands for {len(found)} images", hint="give more digits: img ls --digests")
        if found:
            return Found(provider, found[0] if every_name else Named(found[0].descriptor))
    if reference is None:
        Reference.parse(text)
    raise ImgError(f"the store has no image {reference and reference.familiar}", hint="img ls shows what there is")


def _by_digest(host: Host, digits: str) -> list[Named]:
    """Images whose manifest's or configuration's digest begins with `digits`."""
    found: dict[str, Named] = {}
    for image in host.store.images.list():
        descriptor = image.descriptor
        ids = [descriptor.digest]
        if host.store.blobs.has(descriptor.digest):
            ids += [one.manifest.config.digest for one in held(host.store, descriptor)]
        if any(id[7:].startswith(digits) for id in ids):
            names = found[descriptor.digest].names if descriptor.digest in found else ()
            found[descriptor.digest] = Named(descriptor, (*names, Reference.parse(image.name)))
    return list(found.values())


def held(store: Store, descriptor: Descriptor) -> list[OneImage]:
    """The images of `descriptor` whose documents the store has: of a pulled index that may be one of many."""
    from img.oci.closure import is_index
    from img.oci.spec import Index

    blobs = store.blobs
    if not blobs.has(descriptor.digest):
        return []
    if is_index(descriptor):
        return [one for m in Index.parse(blobs.read(descriptor.digest)).manifests for one in held(store, m)]
    manifest = Manifest.parse(blobs.read(descriptor.digest))
    if not blobs.has(manifest.config.digest):
        return []
    return list(images(descriptor, lambda d: blobs.read(d.digest)))


def ingest(host: Host, found: Found, descriptor: Descriptor, origin: Mapping[str, str] | None = None) -> None:
    """Put `descriptor` and all it is made of into the store, byte for byte. With `origin` (`img.store.layers`), layers stay
    there and are only made known. Raises `CorruptBlob`, `LayerError`; what was stored until then belongs to no image."""
    blobs = host.store.blobs
    remote = _announced(host, found, descriptor, origin) if origin is not None else set()
    parts = closure(descriptor, found.read)
    wanted = [part for part in parts if part.digest not in remote and not blobs.has(part.digest)]

    def take(part: Descriptor) -> None:
        if host.cancelled:
            raise Cancelled
        if not blobs.has(part.digest):
            blobs.write(found.provider.chunks(part), part.digest, part.size)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(THREADS, "ingest") as pool:
        for done in [pool.submit(take, part) for part in wanted]:
            done.result()


def _announced(host: Host, found: Found, descriptor: Descriptor, origin: Mapping[str, str]) -> set[str]:
    """Make the layers of every image known as remote; returns the digests of those that now are."""
    layers = host.store.layers
    known: set[str] = set()
    for image in images(descriptor, found.read):
        for id, layer in zip(checked_ids(image), image.manifest.layers, strict=True):
            layers.add_remote(id, layer, origin)
            if layers.holder(layer.digest) is not None:
                known.add(layer.digest)
    return known


def snapshot(host: Host, found: Found, image: OneImage) -> Snapshot:
    """The image's filesystem. Its layers come from `found`, unless the store has them."""
    ids = checked_ids(image)
    layers = host.store.layers
    for id, layer in zip(ids, image.manifest.layers, strict=True):
        if layers.known((id,)) is not None:
            continue
        if not host.store.blobs.has(layer.digest):
            host.store.blobs.write(found.provider.chunks(layer), layer.digest, layer.size)
        layers.add_blob(id, layer)
    return Snapshot(ids)


def checked_ids(image: OneImage) -> tuple[str, ...]:
    """The image's diff ids. Raises `ImgError` unless there is one for each layer."""
    ids = diff_ids(image.config)
    if len(ids) != len(image.manifest.layers):
        raise ImgError(f"the image has {len(image.manifest.layers)} layers, but its configuration names {len(ids)}")
    return ids


def set_names(host: Host, names: Sequence[Reference], descriptor: Descriptor) -> None:
    """Let each name stand for `descriptor`, whose blobs are in the store."""
    for name in names:
        host.store.images.set(str(name), descriptor)


def whole(provider: Provider, descriptor: Descriptor) -> Iterator[bytes]:
    """A blob's bytes, verified."""
    return verified(provider.chunks(descriptor), descriptor, provider.where)
