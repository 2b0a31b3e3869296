"""Manifests, blobs, tags and referrers of one repository at one endpoint (distribution-spec 1.1, "Endpoints")."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

from img.digest import is_digest, sha256
from img.errors import CorruptBlob, NotFound, RegistryError
from img.oci.spec import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MAX_DOCUMENT,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    parse_object,
)
from img_plugins.registry.auth import Scope
from img_plugins.registry.body import Blob, Broken, from_offset, whole
from img_plugins.registry.hosts.model import Endpoint
from img_plugins.registry.referrers import tag_of
from img_plugins.registry.transport import Transport, drop

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
MAX_PAGES = 10_000
T = TypeVar("T")


class Document(NamedTuple):
    """A manifest or index as the registry has it."""

    media_type: str
    digest: str
    data: bytes


class Client:
    """One repository. Safe from several threads."""

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self.host = transport.host
        self.repository = endpoint.repository
        self._pull = Scope(endpoint.repository)

    # --- manifests -----------------------------------------------------------------------------------------

    def manifest(self, target: str) -> Document:
        """The manifest or index that a tag or digest names, verified against the digest, and against the one the
        registry says it has. Raises `CorruptBlob`, `NotFound`, `RegistryError`, `LayerError` if it is no JSON object.
        """
        return self._persistent(lambda: self._manifest(target))

    def _manifest(self, target: str) -> Document:
        response = self.transport.request(
            "GET", self._manifest_path(target), scope=self._pull, headers={"Accept": ACCEPT}
        )
        promised = response.headers.get("Docker-Content-Digest", "")
        media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
        data = whole(response, MAX_DOCUMENT, self.host, f"the manifest of {self.repository}:{target}")
        digest = sha256(data)
        for wanted in (target, promised):
            if is_digest(wanted) and digest != wanted:
                raise CorruptBlob(f"{self.host} sent a manifest with digest {digest} for {wanted}")
        document = parse_object(data, f"manifest of {self.host}/{self.repository}:{target}")
        named = document.get("mediaType")
        return Document(named if isinstance(named, str) and named else media_type or OCI_MANIFEST, digest, data)

    def digest(self, target: str) -> str:
        """The digest of what `target` names, without fetching it; empty if the registry does not say. Raises
        `NotFound`, `RegistryError`."""
        path = self._manifest_path(target)
        response = self.transport.request(
            "HEAD", path, scope=self._pull, headers={"Accept": ACCEPT}, allowed=(400, 405, 501)
        )
        drop(response)
        found = response.headers.get("Docker-Content-Digest", "") if response.status < 300 else ""
        return found if is_digest(found) else ""

    # --- blobs ---------------------------------------------------------------------------------------------

    def open_at(self, digest: str, offset: int, end: int) -> Any:
        """A urllib3 response whose body is the blob from `offset` on, to `end` if the registry can do that. Raises
        `NotFound`, `RegistryError`."""
        path = f"/v2/{self.repository}/blobs/{digest}"

        def ask(headers: dict[str, str], allowed: tuple[int, ...] = ()) -> Any:
            return self.transport.request("GET", path, scope=self._pull, headers=headers, allowed=allowed)

        if not offset:
            return ask({})
        response = ask({"Range": f"bytes={offset}-{end - 1}"}, allowed=(416,))
        return from_offset(response, offset, self.host, lambda: ask({}))

    def blob(self, descriptor: Descriptor, offset: int = 0) -> Blob:
        """A stream of a blob's bytes, not verified. Raises `RegistryError`, also while reading."""
        ways = [(lambda at: self.open_at(descriptor.digest, at, descriptor.size), self.host)]
        return Blob(ways, descriptor.size, self.transport.network, offset)

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """A blob as a whole, verified: a configuration. Raises `CorruptBlob`, `RegistryError`."""
        if descriptor.size > MAX_DOCUMENT:
            raise RegistryError(f"the configuration of {self.repository} claims {descriptor.size} bytes")

        def read() -> bytes:
            with self.blob(descriptor) as stream:
                data = stream.read()
            if sha256(data) != descriptor.digest:
                raise CorruptBlob(f"{self.host} sent other bytes than {descriptor.digest} for the configuration")
            return data

        return self._persistent(read)

    def has_blob(self, digest: str, scope: Scope | None = None) -> bool:
        """Whether the repository has a blob. Raises `RegistryError`."""
        path = f"/v2/{self.repository}/blobs/{digest}"
        response = self.transport.request("HEAD", path, scope=scope or self._pull, allowed=(404, 405, 501))
        drop(response)
        if response.status in (405, 501):  # it knows no HEAD: begin to fetch it
            response = self.transport.request("GET", path, scope=scope or self._pull, allowed=(404,))
            response.close()
            response.release_conn()
        return bool(response.status != 404)

    # --- lists ---------------------------------------------------------------------------------------------

    def tags(self) -> Iterator[str]:
        """The repository's tags, page by page. Raises `NotFound`, `RegistryError`."""
        for document in self._pages(f"/v2/{self.repository}/tags/list?n=1000"):
            tags = document.get("tags") or []
            if not isinstance(tags, list):
                raise RegistryError(f"{self.host} sent a list of tags that is none")
            yield from (tag for tag in tags if isinstance(tag, str))

    def referrers(self, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """What refers to the manifest `digest`: from the referrers API, or where that is missing from the index under
        the tag that stands for it (distribution-spec 1.1, "Referrers Tag Schema"). Raises `RegistryError`."""
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        found: list[Descriptor] = []
        try:
            for document in self._pages(f"/v2/{self.repository}/referrers/{digest}{query}"):
                found += Index.parse(json.dumps(document).encode()).manifests
        except NotFound:
            found = self._tagged_referrers(digest)
        if not artifact_type:
            return found
        return [item for item in found if item.artifact_type == artifact_type]

    def _tagged_referrers(self, digest: str) -> list[Descriptor]:
        try:
            return list(Index.parse(self.manifest(tag_of(digest)).data).manifests)
        except NotFound:
            return []

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Each page of a list; ``Link: <…>; rel="next"`` leads on, but not to another host."""
        seen: set[str] = set()
        while path and path not in seen and len(seen) < MAX_PAGES:
            seen.add(path)
            headers, data = self._persistent(lambda path=path: self._page(path))  # type: ignore[misc]
            yield parse_object(data, f"list of {self.host}/{self.repository}")
            path = self._next(path, headers.get("Link", ""))

    def _page(self, path: str) -> tuple[Any, bytes]:
        response = self.transport.request(
            "GET", path, scope=self._pull, headers={"Accept": f"{OCI_INDEX}, application/json"}
        )
        return response.headers, whole(response, MAX_DOCUMENT, self.host, f"a list of {self.repository}")

    def _next(self, path: str, link: str) -> str:
        target, found, rest = link.partition(">")
        if not found or 'rel="next"' not in rest.replace("'", '"').replace("rel=next", 'rel="next"'):
            return ""
        parts = urlsplit(urljoin(urljoin(self.transport.base, path), target.strip().removeprefix("<")))
        asked = urlsplit(path).path
        return f"{asked}?{urlencode(parse_qs(parts.query), doseq=True)}" if parts.query else ""

    # --- the rest ------------------------------------------------------------------------------------------

    def _manifest_path(self, target: str) -> str:
        return f"/v2/{self.repository}/manifests/{quote(target, safe=':')}"

    def _persistent(self, act: Callable[[], T]) -> T:
        """Do something again if its bytes broke off or were wrong: both may pass."""
        network = self.transport.network
        for attempt in range(network.patience.tries - 1):
            try:
                return act()
            except (Broken, CorruptBlob):
                network.wait(attempt)
        return act()
