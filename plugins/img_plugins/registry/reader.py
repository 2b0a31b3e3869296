"""A name's endpoints as one: each is asked in turn, as far as its fallback allows (`hosts.model.Fallback`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from img.errors import Cancelled, Forbidden, ImgError, NotFound
from img.oci.spec import Descriptor
from img_plugins.registry.body import Blob
from img_plugins.registry.client import Client, Document
from img_plugins.registry.hosts.model import Endpoint, Fallback

T = TypeVar("T")
Tell = Callable[[str], None]


class Reader:
    """What is pulled from a name. Safe from several threads."""

    def __init__(
        self, tagged: Sequence[Client], digested: Sequence[Client], blobs: Sequence[Client], tell: Tell
    ) -> None:
        self._tagged = tagged
        self._digested = digested
        self._blobs = blobs
        self._tell = tell
        self._told: set[str] = set()
        self._opened: dict[str, int] = {}
        self._lock = threading.Lock()

    def manifest(self, target: str) -> Document:
        """See `Client.manifest`."""
        return self._first(self._of(target), lambda client: client.manifest(target))

    def inner(self, digest: str) -> Document:
        """A manifest that an index of this name names: it may come from wherever the index may have come from."""
        return self._first(self._blobs, lambda client: client.manifest(digest))

    def digest(self, target: str) -> str:
        """See `Client.digest`."""
        return self._first(self._of(target), lambda client: client.digest(target))

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """See `Client.small_blob`."""
        return self._first(self._blobs, lambda client: client.small_blob(descriptor))

    def blob(self, descriptor: Descriptor, offset: int = 0) -> Blob:
        """See `Client.blob`. When it is asked for again (what came before was wrong, or is lost), the endpoint that it
        came from is asked last."""
        clients = self._turned(descriptor.digest)

        def opening(client: Client) -> Callable[[int], object]:
            return lambda at: client.open_at(descriptor.digest, at, descriptor.size)

        ways = [(opening(client), client.host) for client in clients]
        network = clients[0].transport.network
        return Blob(ways, descriptor.size, network, offset, lambda error, way: self._falls(clients[way], error))

    def tags(self) -> list[str]:
        """The tags of the first endpoint that has any."""
        return self._first(self._tagged, lambda client: list(client.tags()))

    def referrers(self, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """See `Client.referrers`."""
        return self._first(self._digested, lambda client: client.referrers(digest, artifact_type))

    def _of(self, target: str) -> Sequence[Client]:
        return self._digested if ":" in target else self._tagged

    def _turned(self, digest: str) -> list[Client]:
        with self._lock:
            turn = self._opened.get(digest, 0)
            self._opened[digest] = turn + 1
        free = [client for client in self._blobs[:-1] if client.endpoint.fallback is Fallback.ON_ERROR]
        if not free or len(free) != len(self._blobs) - 1:
            return list(self._blobs)
        turn %= len(self._blobs)
        return [*self._blobs[turn:], *self._blobs[:turn]]

    def _first(self, clients: Sequence[Client], act: Callable[[Client], T]) -> T:
        earlier: list[str] = []
        for client in clients[:-1]:
            try:
                return act(client)
            except ImgError as error:
                if not self._falls(client, error):
                    raise
                earlier.append(f"{client.host}: {error.message}")
        try:
            return act(clients[-1])
        except ImgError as error:
            if earlier:
                error.hint = "; ".join(filter(None, (error.hint, *(f"before, {words}" for words in earlier))))
            raise

    def _falls(self, client: Client, error: ImgError) -> bool:
        """Whether the endpoint after that of `client` may be asked; if so, it is told once."""
        if not falls(client.endpoint, error):
            return False
        words = f"the mirror {client.host} can't be used: {error.message}"
        if not isinstance(error, NotFound) and words not in self._told:
            self._told.add(words)
            self._tell(words)
        return True


def falls(endpoint: Endpoint, error: ImgError) -> bool:
    """Whether `error` of `endpoint` leads to the next endpoint. A 403 never does."""
    if isinstance(error, Forbidden | Cancelled):
        return False
    if isinstance(error, NotFound):
        return endpoint.fallback is not Fallback.NEVER
    return endpoint.fallback is Fallback.ON_ERROR
