"""Blobs of images that only our store or a layout on this machine has, for the daemon to read
(``containerd.services.content.v1.Content``): no others, and nothing is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from img.images.stored import Stored
from img.oci.spec import OCI_MANIFEST, Descriptor, Manifest
from img.ports import Host

CHUNK = 1 << 20


def blobs_of(host: Host, digest: str) -> dict[str, Descriptor]:
    """The blobs of the image whose manifest has this digest, by theirs. Raises `StoreError`, `LayerError`."""
    data = host.store.blobs.read(digest)
    manifest = Manifest.parse(data, OCI_MANIFEST)
    parts = [Descriptor(OCI_MANIFEST, digest, len(data)), manifest.config, *manifest.layers]
    return {part.digest: part for part in parts}


class Content:
    """The calls of the service."""

    def __init__(self, host: Host, blobs: dict[str, Descriptor]) -> None:
        self._host = host
        self._blobs = blobs

    def info(self, request: Any, context: Any) -> Any:
        from img_plugins.backends.buildkit.api import content_pb2 as content

        blob = self._blob(request.digest, context)
        return content.InfoResponse(info=content.Info(digest=blob.digest, size=blob.size))

    def read(self, request: Any, context: Any) -> Iterator[Any]:
        from img_plugins.backends.buildkit.api import content_pb2 as content

        blob = self._blob(request.digest, context)
        self._bring(blob)
        at = request.offset
        end = min(blob.size, at + request.size) if request.size else blob.size
        with self._host.store.blobs.open(blob.digest) as stream:
            stream.seek(at)
            while at < end and (data := stream.read(min(CHUNK, end - at))):
                yield content.ReadContentResponse(offset=at, data=data)
                at += len(data)

    def _bring(self, blob: Descriptor) -> None:
        """Have the blob in the store; a layer may still be where the image came from."""
        if not self._host.store.blobs.has(blob.digest):
            next(iter(Stored(self._host).chunks(blob)), b"")

    def _blob(self, digest: str, context: Any) -> Descriptor:
        import grpc

        blob = self._blobs.get(digest)
        if blob is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the build has no blob {digest}")
            raise KeyError(digest)
        return blob
