"""Blobs and manifests into one repository (distribution-spec 1.1, "Push").

A blob goes in one piece first. If that breaks, the registry is asked whether it has the blob now (an answer that is lost
or wrong does not mean that the upload was), and if not it goes again in pieces, each of which may break and be resumed.
A registry that takes no pieces gets the whole again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from img.digest import is_digest, sha256
from img.errors import CorruptBlob, Forbidden, NotFound, RegistryError, Unauthorized
from img.oci.spec import OCI_INDEX, Descriptor
from img_plugins.registry.auth import Scope
from img_plugins.registry.client import Client
from img_plugins.registry.network import SLOW_READ
from img_plugins.registry.transport import Busy, TooLarge, drop, error_codes, read_some

PIECE, SMALLEST = 16 << 20, 256 << 10
"""Bytes of one piece of an upload in pieces, and of the smallest that is tried where larger ones are refused."""
FINAL = (400, 404, 405, 409, 412, 413, 415, 422)
"""Statuses to a manifest that asking again does not change, unless a blob of it is not visible yet."""
ROUNDS = 5
"""How often an upload is begun anew."""

Pour = Callable[[int, int], Iterator[bytes]]
"""Offset and length → the bytes of the blob there, in chunks. The whole: ``(0, size)``."""


class _Refused(Exception):
    """The registry does not take this, and will not the next time."""


class _Nowhere(NotFound):
    """There is no such repository."""


class _Session(NamedTuple):
    url: str
    least: int
    """The smallest piece it takes, in bytes (``OCI-Chunk-Min-Length``)."""


class Uploader:
    """Uploads to one repository. Safe from several threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._transport = client.transport
        self._scope = Scope(client.repository, "pull,push")
        self._pieces = True
        """False: the registry refuses uploads in pieces."""
        self._piece_size = PIECE
        self._too_large = 0
        """The size of a body that was refused; 0: none was."""

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob. Raises `RegistryError`."""
        return self._client.has_blob(digest, self._scope)

    def blob(self, descriptor: Descriptor, pour: Pour, mount: str = "") -> bool:
        """Upload a blob that the repository does not have. With `mount`, the repository of this registry that is known
        to have it, it is taken from there if the registry does that. Returns whether bytes were sent.

        Raises `RegistryError`, and what `pour` raises.
        """
        if mount and mount != self._client.repository and self.mount(descriptor.digest, mount):
            return False
        network = self._transport.network
        for attempt in range(ROUNDS):
            try:
                session = self._begin()
                large = 0 < self._too_large <= descriptor.size
                if self._pieces and (large or attempt % 2):
                    self._in_pieces(session, descriptor, pour)
                else:
                    self._whole(session, descriptor, pour)
                return True
            except (Unauthorized, Forbidden, _Nowhere):
                raise
            except (RegistryError, _Refused) as error:
                if isinstance(error, TooLarge):
                    self._too_large = min(descriptor.size, self._too_large or descriptor.size)
                if self._arrived(descriptor.digest):
                    return True
                if attempt + 1 == ROUNDS:
                    raise error if isinstance(error, RegistryError) else RegistryError(str(error)) from error
                network.wait(attempt, error.after if isinstance(error, Busy) else None)
        raise AssertionError("unreachable")

    def mount(self, digest: str, repository: str) -> bool:
        """Take a blob from another repository of the registry; False if it does not do that."""
        path = f"{self._uploads}?mount={quote(digest, safe=':')}&from={quote(repository, safe='/')}"
        scope = Scope(self._client.repository, "pull,push", repository)
        try:
            response = self._transport.request("POST", path, scope=scope, body=lambda: b"", allowed=(400, 404, 405))
        except Unauthorized:
            return False  # not allowed to read there: the ordinary way may still be open
        drop(response)
        if response.status == 202 and (location := response.headers.get("Location")):
            self._abandon(location)
        return bool(response.status == 201)

    def manifest(self, target: str, media_type: str, data: bytes) -> str:
        """Store a manifest or index under a tag or digest; returns its digest. Raises `RegistryError` if the registry
        has something else under it afterwards."""
        digest = sha256(data)
        network = self._transport.network
        for attempt in range(ROUNDS):
            try:
                if self._put(target, media_type, data):
                    self._refer(media_type, data)
                return digest
            except (Unauthorized, Forbidden):
                raise
            except (RegistryError, _Refused) as error:
                if self._stands(target, digest):
                    return digest
                if isinstance(error, _Refused):
                    raise RegistryError(str(error)) from error
                if attempt + 1 == ROUNDS:
                    raise
                network.wait(attempt, error.after if isinstance(error, Busy) else None)
        raise AssertionError("unreachable")

    def _put(self, target: str, media_type: str, data: bytes) -> bool:
        """Send a manifest once; returns whether its referrer index is ours to keep. Raises `RegistryError` for what may
        pass, `_Refused` for what will not, `CorruptBlob`."""
        path = f"/v2/{self._client.repository}/manifests/{quote(target, safe=':')}"
        response = self._transport.request(
            "PUT",
            path,
            scope=self._scope,
            headers={"Content-Type": media_type},
            body=lambda: data,
            allowed=FINAL,
            tries=1,
            read_timeout=SLOW_READ,
        )
        if response.status >= 300:
            words = read_some(response)
            error = self._transport.refused(response, "PUT", path, words)
            # what was just uploaded may not be visible everywhere yet
            if response.status == 404 or error_codes(words) & {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}:
                raise error
            raise _Refused(error.message) from error
        drop(response)
        stored = response.headers.get("Docker-Content-Digest", "")
        if is_digest(stored) and stored != sha256(data):
            raise CorruptBlob(f"{self._client.host} stored {stored} for the manifest {sha256(data)}")
        return not response.headers.get("OCI-Subject")

    def _refer(self, media_type: str, data: bytes) -> None:
        """Enter a manifest that refers to another into the index that stands for the referrers API where the registry
        has none (distribution-spec 1.1, "Pushing Manifests with Subject")."""
        from img_plugins.registry.referrers import entry, joined, tag_of

        found = entry(media_type, data)
        if found is None:
            return
        subject, descriptor = found
        tag = tag_of(subject)
        try:
            before = self._client.manifest(tag).data
        except NotFound:
            before = b""
        after = joined(before, descriptor)
        if after != before:
            self.manifest(tag, OCI_INDEX, after)

    # --- one upload ----------------------------------------------------------------------------------------

    @property
    def _uploads(self) -> str:
        return f"/v2/{self._client.repository}/blobs/uploads/"

    def _begin(self) -> _Session:
        path = self._uploads
        response = self._transport.request("POST", path, scope=self._scope, body=lambda: b"", allowed=(404,))
        if response.status == 404:
            error = self._transport.refused(response, "POST", path)
            raise _Nowhere(error.message, hint="create the repository first: this registry does not do so by itself")
        drop(response)
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        return _Session(self._location(response, self._uploads), int(least) if least.isdigit() else 0)

    def _location(self, response: Any, before: str) -> str:
        """Where the upload goes on. The registry's own host is never left for plain HTTP: proxies get that wrong."""
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"{self._client.host} took an upload but did not say where to")
        base = urlsplit(self._transport.base)
        url = urlsplit(urljoin(urljoin(self._transport.base, before), location))
        if url.scheme == "http" and base.scheme == "https" and url.hostname == base.hostname:
            url = url._replace(scheme="https", netloc=base.netloc)
        return str(url.geturl())

    def _whole(self, session: _Session, descriptor: Descriptor, pour: Pour) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        self._finish(session.url, descriptor, headers, lambda: pour(0, descriptor.size))

    def _finish(self, url: str, descriptor: Descriptor, headers: dict[str, str], body: Callable[[], Any]) -> None:
        url += f"{'&' if urlsplit(url).query else '?'}digest={quote(descriptor.digest, safe=':')}"
        response = self._transport.request(
            "PUT", url, scope=self._scope, headers=headers, body=body, tries=1, read_timeout=SLOW_READ
        )
        drop(response)
        stored = response.headers.get("Docker-Content-Digest", "")
        if is_digest(stored) and stored != descriptor.digest:
            raise RegistryError(f"{self._client.host} stored {stored} for the blob {descriptor.digest}")

    def _in_pieces(self, session: _Session, descriptor: Descriptor, pour: Pour) -> None:
        at, url, breaks = 0, session.url, 0
        while at < descriptor.size:
            length = min(max(self._piece_size, session.least), descriptor.size - at)
            try:
                url, at = self._piece(url, at, length, pour)
                breaks = 0
            except Unauthorized:
                raise
            except TooLarge:
                if length <= max(SMALLEST, session.least):
                    raise
                self._piece_size = length // 2
            except RegistryError:
                breaks += 1
                if breaks >= ROUNDS:
                    raise
                self._transport.network.wait(breaks - 1)
                url, at = self._where(url)
        self._finish(url, descriptor, {"Content-Length": "0"}, lambda: b"")

    def _piece(self, url: str, at: int, length: int, pour: Pour) -> tuple[str, int]:
        """Send one piece; returns where the next goes, and how many bytes the registry has. Raises `_Refused`."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(length),
            "Content-Range": f"{at}-{at + length - 1}",
        }
        response = self._transport.request(
            "PATCH",
            url,
            scope=self._scope,
            headers=headers,
            body=lambda: pour(at, length),
            allowed=(400, 404, 405, 415, 416, 501),
            tries=1,
        )
        drop(response)
        if response.status == 416:
            return self._where(url)
        if response.status >= 300:
            self._pieces = response.status in (400, 404)
            raise _Refused(f"{self._client.host} answered {response.status} to a piece of an upload")
        reached = _reached(response)
        return self._location(response, urlsplit(url).path), at + length if reached is None else reached

    def _where(self, url: str) -> tuple[str, int]:
        """How far an upload has come. Raises `NotFound` if the registry has forgotten it."""
        response = self._transport.request("GET", url, scope=self._scope)
        drop(response)
        location = response.headers.get("Location")
        return self._location(response, urlsplit(url).path) if location else url, _reached(response) or 0

    def _abandon(self, location: str) -> None:
        """Tell the registry that an upload it began will not come; no matter if it does not listen."""
        try:
            url = urljoin(urljoin(self._transport.base, self._uploads), location)
            drop(self._transport.request("DELETE", url, scope=self._scope, allowed=(400, 404, 405), tries=1))
        except RegistryError:
            return

    # --- what became of it ---------------------------------------------------------------------------------

    def _arrived(self, digest: str) -> bool:
        try:
            return self.has_blob(digest)
        except RegistryError:
            return False

    def _stands(self, target: str, digest: str) -> bool:
        try:
            return (self._client.digest(target) or self._client.manifest(target).digest) == digest
        except (NotFound, RegistryError, CorruptBlob):
            return False


def _reached(response: Any) -> int | None:
    """How many bytes of an upload a ``Range: 0-N`` says have come; None if it says nothing. ``0-0`` is how registries
    write "none"."""
    first, dash, last = response.headers.get("Range", "").strip().removeprefix("bytes=").partition("-")
    if not dash or not last.isdigit() or first not in ("0", ""):
        return None
    return int(last) + 1 if last != "0" else 0
