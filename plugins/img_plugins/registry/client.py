"""Manifests and blobs of one registry (distribution-spec 1.1, "Endpoints")."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any, NamedTuple, cast
from urllib.parse import quote, urljoin, urlsplit

from img.digest import sha256
from img.errors import CorruptBlob, RegistryError
from img.oci.reference import Reference
from img.oci.spec import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MAX_DOCUMENT,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    parse_object,
)
from img_plugins.registry.transport import Credentials, Transport, unreachable

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))


class Document(NamedTuple):
    """A manifest or index as the registry has it."""

    media_type: str
    digest: str
    data: bytes


class Client:
    """One registry host. Safe from several threads."""

    def __init__(self, host: str, credentials: Credentials) -> None:
        self._transport = Transport(host, credentials)
        self.host = host

    def manifest(self, reference: Reference, target: str = "") -> Document:
        """The manifest or index `reference` names, by digest if it has one. Raises `CorruptBlob` if the bytes do not
        have the digest that was asked for, and `RegistryError`."""
        wanted = target or reference.target
        path = f"/v2/{reference.repository}/manifests/{quote(wanted, safe=':')}"
        response = self._transport.request("GET", path, scope=_pull(reference), headers={"Accept": ACCEPT})
        data = self._whole(response, f"the manifest of {reference}")
        digest = sha256(data)
        if wanted.startswith("sha256:") and digest != wanted:
            raise CorruptBlob(f"{self.host} sent a manifest with digest {digest} for {wanted}")
        media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
        document = parse_object(data, f"manifest of {reference}")
        return Document(document.get("mediaType") or media_type or OCI_MANIFEST, digest, data)

    def blob(self, reference: Reference, descriptor: Descriptor) -> IO[bytes]:
        """A stream of a blob's bytes, not verified. Raises `RegistryError`, also while reading."""
        path = f"/v2/{reference.repository}/blobs/{descriptor.digest}"
        response = self._transport.request("GET", path, scope=_pull(reference))
        return cast(IO[bytes], _Body(response, self.host))

    def small_blob(self, reference: Reference, descriptor: Descriptor) -> bytes:
        """A blob as a whole, verified: a configuration. Raises `CorruptBlob`, `RegistryError`."""
        if descriptor.size > MAX_DOCUMENT:
            raise RegistryError(f"the configuration of {reference} claims {descriptor.size} bytes")
        with self.blob(reference, descriptor) as stream:
            data = stream.read(descriptor.size + 1)
        if sha256(data) != descriptor.digest:
            raise CorruptBlob(f"{self.host} sent other bytes than {descriptor.digest} for the configuration")
        return data

    def has_blob(self, reference: Reference, digest: str) -> bool:
        """Whether the repository has a blob."""
        path = f"/v2/{reference.repository}/blobs/{digest}"
        response = self._transport.request("HEAD", path, scope=_push(reference), allowed=(404,))
        response.release_conn()
        return bool(response.status != 404)

    def upload(self, reference: Reference, descriptor: Descriptor, body: Callable[[], Any], mount: str = "") -> bool:
        """Upload a blob in one piece; `body` opens its bytes for each try. With `mount`, the repository of this
        registry that is known to have it, ask for it to be taken from there. Returns whether bytes were sent."""
        start = f"/v2/{reference.repository}/blobs/uploads/"
        query = f"?mount={descriptor.digest}&from={quote(mount)}" if mount else ""
        scope = _push(reference)
        response = self._transport.request("POST", start + query, scope=scope, body=lambda: b"")
        response.drain_conn()
        response.release_conn()
        if response.status == 201:
            return False
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"{self.host} took an upload but did not say where to")
        url = urljoin(urljoin(self._transport.base, start), location)
        url += f"{'&' if urlsplit(url).query else '?'}digest={quote(descriptor.digest)}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        done = self._transport.request("PUT", url, scope=scope, headers=headers, body=body)
        done.drain_conn()
        done.release_conn()
        return True

    def put_manifest(self, reference: Reference, target: str, media_type: str, data: bytes) -> None:
        """Store a manifest or index under a tag or digest."""
        path = f"/v2/{reference.repository}/manifests/{quote(target, safe=':')}"
        headers = {"Content-Type": media_type}
        response = self._transport.request("PUT", path, scope=_push(reference), headers=headers, body=lambda: data)
        response.drain_conn()
        response.release_conn()

    def _whole(self, response: Any, what: str) -> bytes:
        with _Body(response, self.host) as stream:
            data = stream.read(MAX_DOCUMENT + 1)
        if len(data) > MAX_DOCUMENT:
            raise RegistryError(f"{what} is larger than the {MAX_DOCUMENT} bytes allowed")
        return data


def _pull(reference: Reference) -> str:
    return f"repository:{reference.repository}:pull"


def _push(reference: Reference) -> str:
    return f"repository:{reference.repository}:pull,push"


class _Body(io.BufferedIOBase):
    """A response's bytes; transport failures come out as `RegistryError`."""

    def __init__(self, response: Any, host: str) -> None:
        self._response = response
        self._host = host

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes: as many as there are, fewer only at the end."""
        import urllib3

        parts: list[bytes] = []
        left = -1 if size is None else size
        try:
            while left and (data := self._response.read(left)):
                parts.append(data)
                left -= len(data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self._host, error) from error
        return b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
            self._response.release_conn()
        super().close()
