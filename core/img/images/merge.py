"""Images that were built apart, one for each platform, as one index. The images stay the bytes they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from img.errors import UsageError
from img.images.places import opened
from img.images.provider import Found
from img.images.stored import ingest
from img.oci.closure import is_index
from img.oci.mutate import encode
from img.oci.platform import Platform
from img.oci.reference import Reference
from img.oci.spec import OCI_INDEX, Descriptor, Index
from img.ports import Host


def merge(host: Host, name: str, sources: Sequence[str]) -> Descriptor:
    """Store an index under `name` of all images that `sources` (`img.images.places`) stand for; indexes among them are
    opened, and what they hold beside images (attestations) comes along. Raises `UsageError` for two images of one platform,
    and what reading them raises."""
    if not sources:
        raise UsageError("there is nothing to merge", hint="name the images: img merge NAME IMAGE IMAGE…")
    reference = Reference.parse(name)
    entries: dict[str, Descriptor] = {}
    owner: dict[str, str] = {}
    for source in sources:
        with opened(host, source) as found:
            ingest(host, found, found.descriptor)
            for entry in _entries(found):
                if entry.digest in entries:
                    continue
                platform = str(Platform.of(entry.platform or {}))
                if platform in owner and platform != "unknown/unknown":
                    raise UsageError(
                        f"{owner[platform]} and {source} are both for {platform}", hint="an index has one of each"
                    )
                owner[platform] = source
                entries[entry.digest] = entry
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.to_json() for entry in entries.values()],
    }
    data = encode(document, indent=2)
    descriptor = Descriptor(OCI_INDEX, host.store.blobs.put(data), len(data))
    host.store.images.set(str(reference), descriptor)
    return descriptor


def _entries(found: Found) -> list[Descriptor]:
    """What an index of these images says of them."""
    if is_index(found.descriptor):
        return list(Index.parse(found.read(found.descriptor)).manifests)
    config = found.one().config
    platform = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    return [replace(found.descriptor, platform=platform)]
