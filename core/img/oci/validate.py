"""Every invariant of an image, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from img.errors import LayerError
from img.oci.compress import Hashing, decompressed
from img.oci.platform import Platform
from img.oci.spec import Descriptor, Manifest, diff_ids, parse_object

Chunks = Callable[[Descriptor], Iterable[bytes]]
"""Opens a blob."""


def validate(manifest: Manifest, chunks: Chunks) -> None:
    """Read the whole image. Raises `LayerError` naming the first thing that is wrong: a digest, a size, a diff id, the
    number of layers or of history entries (config.md, "history": one that is not empty for each layer)."""
    config_bytes = Hashing(chunks(manifest.config))
    data = b"".join(config_bytes)
    _check(manifest.config, config_bytes, "configuration")
    config = parse_object(data, "configuration")
    ids = diff_ids(config)
    if len(ids) != len(manifest.layers):
        raise LayerError(f"the manifest has {len(manifest.layers)} layers, the configuration {len(ids)}")
    history = config.get("history") or []
    named = sum(1 for entry in history if not entry.get("empty_layer"))
    if history and named != len(ids):
        raise LayerError(f"the history names {named} layers, the configuration {len(ids)}")
    for number, (layer, diff_id) in enumerate(zip(manifest.layers, ids, strict=True)):
        packed = Hashing(chunks(layer))
        plain = Hashing(decompressed(packed, layer.media_type))
        try:
            for _ in plain:
                pass
        except LayerError:
            for _ in packed:
                pass
            _check(layer, packed, f"layer {number}")  # other bytes are the better explanation
            raise
        _check(layer, packed, f"layer {number}")
        if plain.digest != diff_id:
            raise LayerError(f"layer {number} unpacks to {plain.digest}, the configuration says {diff_id}")


def check_platform(descriptor: Descriptor, config: Mapping[str, object]) -> None:
    """Raises `LayerError` if an index promises another platform than the image's configuration says it is for."""
    if not descriptor.platform:
        return
    promised, has = Platform.of(descriptor.platform), Platform.of(config)
    if (promised.os, promised.architecture) != (has.os, has.architecture):
        raise LayerError(f"the index says the image is for {promised}, its configuration says {has}")


def _check(descriptor: Descriptor, found: Hashing, what: str) -> None:
    if (found.digest, found.size) != (descriptor.digest, descriptor.size):
        raise LayerError(
            f"the {what} is {found.digest} of {found.size} bytes, its descriptor says {descriptor.digest} of "
            f"{descriptor.size}"
        )
