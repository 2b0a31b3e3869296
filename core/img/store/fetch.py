"""Bringing the blobs of remote layers into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from img.errors import CacheLost, CorruptBlob
from img.oci.spec import Descriptor
from img.store.blobs import CHUNK, Blobs

if TYPE_CHECKING:
    from img.store.forms import Engine, Layer

FETCHES = 3
"""How often a remote layer is fetched whose bytes turn out to be wrong: on the way, or on one of several servers."""

FETCHERS = 4
"""Layers that come at one time."""

Counted = Callable[[Iterator[bytes], str, Descriptor], Iterator[bytes]]


@contextmanager
def coming(wanted: Mapping[str, Layer], fetch: Callable[[Layer], None]) -> Iterator[Callable[[str], None]]:
    """Have `fetch` bring layers by id, several at once, in that order; what is given waits for one of them. When the block
    ends, those that have not begun do not come any more."""
    if not wanted:
        yield lambda id: None
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(FETCHERS, "fetch")
    try:
        begun = {id: pool.submit(fetch, layer) for id, layer in wanted.items()}
        yield lambda id: begun[id].result() if id in begun else None
    finally:
        pool.shutdown(cancel_futures=True)


def fetch_blob(layer: Layer, blobs: Blobs, engine: Engine, counted: Counted) -> None:
    """Fetch the blob of `layer`, which has an origin, and verify it. Raises `CorruptBlob`, of a remote cache `CacheLost`,
    and what the origin raises."""
    descriptor, origin = layer.descriptor, layer.origin
    assert descriptor is not None
    assert origin is not None
    for attempt in range(FETCHES):
        try:
            with engine.open_blob(origin, descriptor) as stream:
                chunks = counted(iter(partial(stream.read, CHUNK), b""), "pulling", descriptor)
                blobs.write(chunks, descriptor.digest, descriptor.size)
            break
        except CorruptBlob as error:
            if attempt + 1 < FETCHES:
                continue
            if "cache" in origin:
                raise CacheLost(error.message, digest=descriptor.digest) from error
            raise
    if "cache" in origin:
        from img.store.cached import unpacks

        unpacks(blobs, layer)
