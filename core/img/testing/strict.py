"""Registries that refuse more than the standard's reference does, after the habits of those that people use.

Each rule is one that some hosted registry has or had; `KINDS` puts them together as they come, under the names of those they
resemble. They are for tests of clients: what works with each of them, and what is said where it can't.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from img.digest import is_digest, sha256
from img.testing.registry import Answer, MemoryRegistry, Route, error, serving

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker"
MANIFESTS = (
    f"{OCI}.manifest.v1+json",
    f"{OCI}.index.v1+json",
    f"{DOCKER}.distribution.manifest.v2+json",
    f"{DOCKER}.distribution.manifest.list.v2+json",
)
CONFIGS = (f"{OCI}.config.v1+json", f"{DOCKER}.container.image.v1+json")
LAYERS = (f"{OCI}.layer.", f"{DOCKER}.image.rootfs.")


@dataclass(frozen=True)
class Rules:
    """What a registry insists on."""

    known_types: bool = False
    """Manifests, configurations and layers have the types of images."""
    plain: bool = False
    """No ``artifactType`` and no ``subject``."""
    true_config: bool = False
    """A configuration is read: it has ``architecture``, ``os`` and a diff id for each layer."""
    some_layer: bool = False
    """An image has a layer."""
    mounts: bool = True
    """Blobs are taken from other repositories; if not, the question begins an upload."""
    whole: bool = True
    """A blob may come in one piece, with the request that ends its upload."""
    pieces: bool = True
    least: int = 0
    """Bytes of the smallest piece but the last, told by ``OCI-Chunk-Min-Length``."""
    referrers: bool = True
    heads: bool = True
    """HEAD is answered; if not, with 405."""
    deletes: bool = True
    immutable: int = 0
    """The status that meets a tag which stands for something else; 0: tags move."""
    elsewhere: bool = False
    """Blobs are at another host, which wants no credentials of ours."""
    absolute_links: bool = False
    by_get: bool = False
    """The token server knows no POST."""
    largest_manifest: int = 4 << 20
    rate: int = 0
    """Every such request is one too many, 429 with ``Retry-After``; 0: none is."""
    made_by_hand: bool = False
    """Repositories have to be there before something is pushed (`StrictRegistry.repositories`)."""


KINDS: Mapping[str, tuple[Rules, dict[str, Any]]] = {
    "ecr": (
        Rules(
            plain=True,
            known_types=True,
            mounts=False,
            least=5 << 20,
            referrers=False,
            elsewhere=True,
            made_by_hand=True,
        ),
        {"auth": "basic"},
    ),
    "gcr": (Rules(true_config=True, pieces=False, referrers=False, elsewhere=True, by_get=True), {"auth": "token"}),
    "ghcr": (Rules(referrers=False, absolute_links=True, by_get=True, elsewhere=True), {"auth": "token"}),
    "harbor": (Rules(immutable=412, deletes=False, rate=9), {"auth": "token"}),
    "quay": (Rules(known_types=True, true_config=True, some_layer=True, mounts=False), {"auth": "token"}),
    "hub": (Rules(rate=5, elsewhere=True, by_get=True, referrers=False), {"auth": "token"}),
    "artifactory": (Rules(heads=False, pieces=False, referrers=False, absolute_links=True), {"auth": "basic"}),
    "pieces-only": (Rules(whole=False, least=1 << 20, deletes=False), {}),
}
"""Rules and manner of authorisation by name."""


class StrictRegistry(MemoryRegistry):
    """A `MemoryRegistry` with rules. `storage` has the blobs if they are elsewhere."""

    def __init__(self, rules: Rules, **habits: Any) -> None:
        super().__init__(pieces=rules.pieces, referrers=rules.referrers, **habits)
        self.rules = rules
        self.repositories: set[str] = set()
        self.storage: _Storage | None = None
        self.refused: list[str] = []
        """The rules that were met, by name."""
        self._asked = 0
        self._last: dict[str, int] = {}
        """Bytes of the last piece of each upload."""

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> Answer:
        with self.lock:
            self._asked += 1
            if self.rules.rate and self._asked % self.rules.rate == 0:
                return self._met("rate", error(429, "TOOMANYREQUESTS", ("Retry-After", "0")))
            if method == "HEAD" and not self.rules.heads:
                return self._met("heads", error(405, "UNSUPPORTED"))
            if method == "DELETE" and not self.rules.deletes:
                return self._met("deletes", error(405, "UNSUPPORTED"))
            if method == "POST" and url.startswith("/token") and self.rules.by_get:
                return self._met("by_get", error(404, "UNSUPPORTED"))
            return super().answer(method, url, headers, body)

    def routed(self, method: str, route: Route, query: dict[str, str], headers: Any, body: bytes) -> Answer:
        refused = self._upload(method, route, query, headers, body) if route.kind == "blobs/uploads" else None
        if refused is not None:
            return refused
        if method == "PUT" and route.kind == "manifests":
            rule = self._wrong(route, headers.get("Content-Type", ""), body)
            if rule:
                return rule
        if method == "GET" and route.kind == "blobs" and self.storage is not None:
            place = f"http://{self.storage.host}/{route.name}/{route.rest}"
            return self._met("elsewhere", Answer(307, b"", (("Location", place),)))
        found = super().routed(method, route, query, headers, body)
        return self._told(found)

    def _met(self, rule: str, answer: Answer) -> Answer:
        self.refused.append(rule)
        return answer

    def _told(self, answer: Answer) -> Answer:
        headers = [
            (
                name,
                value.replace("<", f"<http://{self.host}", 1)
                if name == "Link" and self.rules.absolute_links
                else value,
            )
            for name, value in answer.headers
        ]
        if self.rules.least and any(name == "Location" and "/uploads/" in value for name, value in headers):
            headers.append(("OCI-Chunk-Min-Length", str(self.rules.least)))
        return answer._replace(headers=tuple(headers))

    def _upload(self, method: str, route: Route, query: dict[str, str], headers: Any, body: bytes) -> Answer | None:
        rules = self.rules
        if rules.made_by_hand and route.name not in self.repositories:
            words = f"The repository with name '{route.name}' does not exist"
            return self._met("made_by_hand", error(404, "NAME_UNKNOWN", message=words))
        if method == "POST" and not rules.mounts and "from" in query:
            del query["from"]
            self.refused.append("mounts")
        if method == "PUT" and body and not rules.whole:
            return self._met("whole", error(400, "BLOB_UPLOAD_INVALID"))
        if method == "PATCH":
            before, self._last[route.rest] = self._last.get(route.rest, rules.least), len(body)
            if before < rules.least:  # so it was not the last
                return self._met("least", error(400, "SIZE_INVALID"))
        return None

    def _wrong(self, route: Route, media_type: str, body: bytes) -> Answer | None:
        """What a manifest is refused for."""
        rules, document = self.rules, json.loads(body)
        layers = document.get("layers", [])
        if len(body) > rules.largest_manifest:
            return self._met("largest_manifest", error(413, "MANIFEST_INVALID"))
        stands = self.manifests.get((route.name, route.rest))
        if rules.immutable and stands and not is_digest(route.rest) and sha256(stands[1]) != sha256(body):
            words = f"The tag '{route.rest}' already exists and is immutable"
            return self._met("immutable", error(rules.immutable, "TAG_INVALID", message=words))
        if rules.plain and ("artifactType" in document or "subject" in document):
            return self._met("plain", error(400, "MANIFEST_INVALID"))
        if rules.known_types and not _known(media_type, document):
            return self._met("known_types", error(400, "MANIFEST_INVALID", message="unknown media type"))
        if rules.some_layer and "config" in document and not layers:
            return self._met("some_layer", error(400, "MANIFEST_INVALID", message="an image needs a layer"))
        config = self.blobs.get((route.name, document.get("config", {}).get("digest", "")))
        if rules.true_config and config is not None and not _true(json.loads(config), layers):
            return self._met("true_config", error(400, "MANIFEST_INVALID", message="the configuration is none"))
        return None


def _known(media_type: str, document: dict[str, Any]) -> bool:
    parts = document.get("layers", [])
    return (
        media_type in MANIFESTS
        and document.get("mediaType", media_type) == media_type
        and ("config" not in document or document["config"]["mediaType"] in CONFIGS)
        and all(part["mediaType"].startswith(LAYERS) for part in parts)
        and all(part["mediaType"] in MANIFESTS for part in document.get("manifests", []))
    )


def _true(config: dict[str, Any], layers: list[Any]) -> bool:
    ids = config.get("rootfs", {}).get("diff_ids", [])
    return bool(config.get("architecture") and config.get("os")) and len(ids) == len(layers)


class _Storage(MemoryRegistry):
    """Where the blobs are: a host that takes no credentials, as object stores with signed addresses do not."""

    def __init__(self, registry: MemoryRegistry) -> None:
        super().__init__()
        self._registry = registry

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> Answer:
        if headers.get("Authorization"):
            return error(400, "INVALID", message="only one way of authorisation is allowed")
        name, _, digest = url.strip("/").rpartition("/")
        return self._registry.blob_answer(method, name, digest, headers)


@contextmanager
def strict(kind: str, user: str = "u", password: str = "p", **changed: Any) -> Iterator[StrictRegistry]:
    """Run a registry of a kind of `KINDS`, with some rules `changed`."""
    rules, habits = KINDS[kind]
    rules = replace(rules, **changed)
    registry = StrictRegistry(rules, user=user, password=password, **habits)
    with ExitStack() as stack:
        if rules.elsewhere:
            registry.storage = _Storage(registry)
            stack.enter_context(serving(registry.storage))
        yield stack.enter_context(serving(registry))
