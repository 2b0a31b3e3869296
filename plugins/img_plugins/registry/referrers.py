"""The referrers tag schema: an index under a tag made of a manifest's digest, which lists what refers to it (distribution-
spec 1.1, "Referrers Tag Schema"). Pure."""

from __future__ import annotations

from img.digest import is_digest, sha256
from img.oci.mutate import encode
from img.oci.spec import OCI_INDEX, Descriptor, Index, parse_object


def tag_of(digest: str) -> str:
    """The tag that stands for what refers to `digest`."""
    return digest.replace(":", "-")


def entry(media_type: str, data: bytes) -> tuple[str, Descriptor] | None:
    """The digest that a manifest refers to, and how it is listed there; None if it refers to nothing."""
    document = parse_object(data, "manifest")
    subject, config = document.get("subject"), document.get("config")
    if not isinstance(subject, dict) or not is_digest(str(subject.get("digest"))):
        return None
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "")
    annotations = document.get("annotations") or {}
    descriptor = Descriptor(media_type, sha256(data), len(data), annotations=annotations, artifact_type=str(kind or ""))
    return str(subject["digest"]), descriptor


def joined(before: bytes, descriptor: Descriptor) -> bytes:
    """The index with `descriptor` in it; `before` is what there was, empty for none. The same bytes if it is in it."""
    manifests = Index.parse(before).manifests if before else ()
    if any(known.digest == descriptor.digest for known in manifests):
        return before
    listed = [known.to_json() for known in (*manifests, descriptor)]
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})
