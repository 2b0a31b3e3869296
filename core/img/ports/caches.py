"""What the engine asks of caches that other machines share. Offered as ``cache``; see `img.ports`, which has these too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from img.oci.spec import Descriptor
    from img.store.forms import LayerBlob

Json = Any


class CacheFound(NamedTuple):
    """A cache as it was found: what it says (`img.solver.index` checks it; it is not trusted yet), and where its blobs
    are, as text by name. `origin` gets the key ``cache``, the offer's name, when a layer is entered into the store."""

    document: Json
    origin: Mapping[str, str]
    mark: str = ""
    """What the cache was known by when this was read: the digest of its manifest."""


class CacheMounts(Protocol):
    """Cache mounts of other machines, for the backend that makes them."""

    def used(self, name: str, id: str, target: str) -> None:
        """Note that a step uses the folder `name` of the store's cache mounts."""

    def fill(self, name: str, place: str) -> bool:
        """Make the folder `place`, which is not there, from what another machine kept; False if there is nothing."""


class CachePlugin(Protocol):
    """Where results of steps are kept for other machines; offered as ``cache``, by the type that ``--cache-from`` and
    ``--cache-to`` name.

    Looking a cache up must never cost more than building: the engine asks beside the build, waits as long as the setting
    ``cache_deadline`` says (seconds), and takes any error as a miss. So `load`, `missing` and `open_blob` give up by
    themselves when nothing has come for so long, and do not try again and again.
    """

    def check(self, attrs: Mapping[str, str], writes: bool) -> None:
        """Raises `UsageError` for attributes that are missing, unknown, or can't be honoured. Asks nobody."""

    def load(self, attrs: Mapping[str, str]) -> Sequence[CacheFound]:
        """What the cache knows; nothing if there is none yet. Only documents: no layer's bytes. Raises `ImgError`."""

    def missing(self, origin: Mapping[str, str], blobs: Sequence[Descriptor]) -> frozenset[str]:
        """The digests of those `blobs` that are no longer there, asked for in one go. Raises `ImgError`."""

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """A blob's bytes from `offset` on, not verified: the store does that. Raises `ImgError`, also while reading."""

    def save(
        self, attrs: Mapping[str, str], document: bytes, blobs: Sequence[LayerBlob], mark: str | None = None
    ) -> str:
        """Keep `document` and the `blobs` it names in place of what was there; returns where, for people. Blobs are in
        the store or where they came from; those that the cache has are left, not sent. With `mark`, only if what is
        there is still what had that mark (empty: nothing): else raises `CacheMoved`. Raises `ImgError`."""
