"""Everything an image is made of, found from its descriptor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from img.errors import LayerError
from img.oci.spec import INDEXES, Descriptor, Index, Manifest, parse_object

DEPTH = 4
"""Indexes within indexes; nobody needs more than two."""

Read = Callable[[Descriptor], bytes]
"""Gives the verified bytes of a document."""


class OneImage(NamedTuple):
    """One image for one platform, its documents read."""

    descriptor: Descriptor
    manifest: Manifest
    config: Mapping[str, Any]


def closure(descriptor: Descriptor, read: Read, depth: int = 0) -> Iterator[Descriptor]:
    """Every blob of `descriptor`, each once and parts before what names them, so that who stores them in this order never
    holds a document whose parts are missing. Raises `LayerError`."""
    seen: set[str] = set()
    for found in _closure(descriptor, read, depth):
        if found.digest not in seen:
            seen.add(found.digest)
            yield found


def _closure(descriptor: Descriptor, read: Read, depth: int) -> Iterator[Descriptor]:
    if depth > DEPTH:
        raise LayerError("the image has indexes within indexes within indexes", hint=f"{DEPTH} levels are read")
    if is_index(descriptor):
        for inner in Index.parse(read(descriptor)).manifests:
            yield from _closure(inner, read, depth + 1)
    else:
        manifest = Manifest.parse(read(descriptor))
        yield from manifest.layers
        yield manifest.config
    yield descriptor


def images(descriptor: Descriptor, read: Read, depth: int = 0) -> Iterator[OneImage]:
    """Every image that `descriptor` stands for: itself, or those of an index. Manifests that are no images, as
    attestations are, are left out. Raises `LayerError`."""
    if depth > DEPTH:
        raise LayerError("the image has indexes within indexes within indexes", hint=f"{DEPTH} levels are read")
    if is_index(descriptor):
        for inner in Index.parse(read(descriptor)).manifests:
            if not is_attestation(inner):
                yield from images(inner, read, depth + 1)
        return
    manifest = Manifest.parse(read(descriptor))
    yield OneImage(descriptor, manifest, parse_object(read(manifest.config), "configuration"))


def is_index(descriptor: Descriptor) -> bool:
    return descriptor.media_type in INDEXES


def is_attestation(descriptor: Descriptor) -> bool:
    """Whether an index's entry is about another one rather than an image."""
    return "vnd.docker.reference.type" in descriptor.annotations
