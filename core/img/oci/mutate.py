"""From a configuration and layers to an image: its exact bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from img.digest import sha256
from img.errors import ImgError
from img.oci.spec import DOCKER_TO_OCI, OCI_CONFIG, OCI_MANIFEST, OCI_TO_DOCKER, Descriptor

Json = Any

_ORDER = (
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "author",
    "created",
    "config",
    "history",
    "rootfs",
)


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image: its documents' bytes and descriptors."""

    config: bytes
    manifest: bytes
    descriptor: Descriptor
    """Of the manifest, with its platform."""
    config_descriptor: Descriptor
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]


def assemble(
    config: Mapping[str, Json],
    layers: Sequence[Descriptor],
    diff_ids: Sequence[str],
    created: Sequence[str],
    *,
    epoch: str = "",
    annotations: Mapping[str, str] | None = None,
    docker_types: bool = False,
) -> Image:
    """Complete `config` with ``rootfs``, ``created`` and the times of its new history entries, and make the manifest.

    New are the entries without ``created`` at the end; each that stands for a layer takes the next time of `created`,
    and an empty one the time of the layer before it. With `epoch` (RFC 3339) that is what every new entry, and the
    image, says. Media types are OCI's, or with `docker_types` docker's, whichever the base's were, as many registries
    refuse a mixture; a layer that docker has no type for keeps its own. Raises `ImgError` if history and layers do not
    fit.
    """
    history, latest = _history(config.get("history") or [], created, len(layers), epoch)
    document: dict[str, Json] = {
        **config,
        "created": epoch or latest or "1970-01-01T00:00:00Z",
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    ordered = {key: document[key] for key in _ORDER if key in document}
    ordered.update({key: value for key, value in document.items() if key not in ordered})
    config_bytes = encode(ordered)
    types = OCI_TO_DOCKER if docker_types else DOCKER_TO_OCI
    layers = [replace(layer, media_type=types.get(layer.media_type, layer.media_type)) for layer in layers]
    config_descriptor = Descriptor(types.get(OCI_CONFIG, OCI_CONFIG), sha256(config_bytes), len(config_bytes))
    media_type = types.get(OCI_MANIFEST, OCI_MANIFEST)
    parts: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config_descriptor.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    if annotations:
        parts["annotations"] = dict(annotations)
    manifest = encode(parts, indent=2)
    platform = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    descriptor = Descriptor(media_type, sha256(manifest), len(manifest), platform)
    return Image(config_bytes, manifest, descriptor, config_descriptor, tuple(layers), tuple(diff_ids))


def encode(document: Json, indent: int | None = None) -> bytes:
    """JSON as images carry it: UTF-8, no escapes that need not be."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(document, ensure_ascii=False, separators=separators, indent=indent)
    return text.encode("utf-8", "surrogatepass")


def _history(
    entries: Sequence[Mapping[str, Json]], created: Sequence[str], layers: int, epoch: str
) -> tuple[list[Json], str]:
    """The history with all times filled in, and the last of them."""
    times = iter(created)
    latest = next((str(entry["created"]) for entry in reversed(entries) if entry.get("created")), "")
    first = next(iter(created), latest)
    now = ""
    finished: list[Json] = []
    for entry in entries:
        if entry.get("created"):
            finished.append(dict(entry))
            continue
        if not entry.get("empty_layer"):
            now = next(times, "")
            if not now:
                raise ImgError("the image's history names more layers than it has; this is an error of the frontend")
        finished.append({"created": epoch or now or first or latest or "1970-01-01T00:00:00Z", **entry})
        latest = finished[-1]["created"]
    named = sum(1 for entry in entries if not entry.get("empty_layer"))
    if entries and next(times, None) is not None and named < layers:
        raise ImgError("the image has more new layers than its history names; this is an error of the frontend")
    return finished, latest
