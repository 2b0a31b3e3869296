"""Registries in memory, and clients of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack

from img.digest import sha256
from img.oci.mutate import encode
from img.oci.spec import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor
from img.testing import chaos
from img.testing.registry import Handler, MemoryRegistry, serving
from img_plugins.registry.auth import Secret
from img_plugins.registry.client import Client
from img_plugins.registry.hosts.model import Endpoint, Fallback
from img_plugins.registry.network import Network, Patience
from img_plugins.registry.transport import Transport

DATA = random.Random(0).randbytes(3 << 20)
LAYER = Descriptor(OCI_LAYER, sha256(DATA), len(DATA))


class World:
    """Registries, and clients of them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.network = Network(patience=Patience(4, 0.001))
        self.asked: list[tuple[str, str]] = []

    def registry(self, **habits: object) -> MemoryRegistry:
        return self._stack.enter_context(serving(MemoryRegistry(**habits)))  # type: ignore[arg-type]

    def client(
        self, registry: MemoryRegistry, name: str = "x", secret: Secret | None = None, fallback: Fallback | None = None
    ) -> Client:
        def credentials(host: str, repository: str) -> Secret | None:
            self.asked.append((host, repository))
            return secret

        endpoint = Endpoint(registry.host, name, ("http",), mirror=bool(fallback), fallback=fallback or Fallback.NEVER)
        return Client(endpoint, Transport(endpoint, credentials, self.network))


def pour(offset: int, length: int) -> Iterator[bytes]:
    for at in range(offset, offset + length, 1 << 16):
        yield DATA[at : min(at + (1 << 16), offset + length)]


def manifest(registry: MemoryRegistry, name: str = "x", tag: str = "1", **more: object) -> tuple[str, bytes]:
    """Put a small image into a registry."""
    registry.blobs[name, LAYER.digest] = DATA
    registry.blobs[name, sha256(b"{}")] = b"{}"
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor(OCI_CONFIG, sha256(b"{}"), 2).to_json(),
        "layers": [LAYER.to_json()],
        **more,
    }
    data = encode(document)
    for target in (tag, sha256(data)):
        registry.manifests[name, target] = (OCI_MANIFEST, data)
    return sha256(data), data


def once(fault: chaos.Fault, method: str, part: str = "") -> object:
    """Spoil the first request of a kind."""
    left = [fault]

    def act(handler: Handler) -> bool:
        if left and handler.command == method and part in handler.path:
            left.pop()(handler)
            return True
        return False

    return act


def requests(registry: MemoryRegistry) -> list[str]:
    return [seen.method for seen in registry.seen]
