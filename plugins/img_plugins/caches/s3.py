"""``type=s3``: a cache in a bucket, by way of obstore (the extra ``s3``). Attributes as BuildKit has them: ``bucket``,
``region``, ``prefix``, ``blobs_prefix`` (``blobs/``), ``manifests_prefix`` (``manifests/``), ``name`` (``buildkit``),
``endpoint_url``, ``use_path_style``, ``access_key_id``, ``secret_access_key``, ``session_token``. Keys that are not given
are looked for where AWS' own tools look.

The objects are those of the OCI artifact: its manifest under the name, and every blob under its digest.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from img.digest import sha256
from img.errors import CacheMoved, CorruptBlob, ImgError, NotFound, PluginError, RegistryError
from img.oci.spec import MAX_DOCUMENT, Descriptor, Manifest
from img.ports import CacheFound, Host
from img.solver.watched import deadline
from img.store.forms import LayerBlob
from img_plugins.caches.artifact import LARGEST, checked, index_of, manifest_of, pack
from img_plugins.caches.attrs import check_attrs
from img_plugins.registry.side_by_side import side_by_side

KEYS = {"access_key_id": "access_key_id", "secret_access_key": "secret_access_key", "session_token": "token"}
"""Attributes that never leave this process, with obstore's names for them."""
PLACE = ("bucket", "region", "prefix", "blobs_prefix", "manifests_prefix", "name", "endpoint_url", "use_path_style")
PIECE = 1 << 20
THREADS = 16
T = TypeVar("T")


class S3Cache:
    """See `img.ports.CachePlugin`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stores: dict[tuple[tuple[str, str], ...], Any] = {}

    def check(self, attrs: Mapping[str, str], writes: bool) -> None:
        check_attrs(attrs, "s3", writes, (*PLACE, *KEYS), "bucket")
        _obstore()

    def load(self, attrs: Mapping[str, str]) -> Sequence[CacheFound]:
        place = _place(attrs)
        try:
            data = self._read(place, _manifest_key(place), MAX_DOCUMENT, attrs)
        except NotFound:
            return []
        document = index_of(Manifest.parse(checked(data)), lambda blob: self._blob(place, blob, attrs))
        return [] if document is None else [CacheFound(document, place, sha256(data))]

    def missing(self, origin: Mapping[str, str], blobs: Sequence[Descriptor]) -> frozenset[str]:
        gone: set[str] = set()

        def ask(blob: Descriptor) -> None:
            if not self._has(origin, blob):
                gone.add(blob.digest)

        side_by_side(ask, blobs, THREADS)
        return frozenset(gone)

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        options = {"range": {"offset": offset}} if offset else None
        key = _blob_key(origin, descriptor)
        found = _asked(lambda: _obstore().get(self._store(origin), key, options=options))
        return io.BufferedReader(_Stream(found.stream(min_chunk_size=PIECE)), PIECE)

    def save(
        self, attrs: Mapping[str, str], document: bytes, blobs: Sequence[LayerBlob], mark: str | None = None
    ) -> str:
        """Blobs first, several at once, those that are there are left; then the manifest."""
        place = _place(attrs)
        self._store(place, attrs)
        descriptor, diff_id, data = pack(document)
        image = manifest_of((descriptor, diff_id), blobs)
        for own, content in ((descriptor, data), (image.config_descriptor, image.config)):
            self._put(place, _blob_key(place, own), content)
        with ThreadPoolExecutor(4, "transfer") as pool:
            for done in [pool.submit(self._send, place, blob.descriptor) for blob in blobs]:
                done.result()
        if mark is not None:
            self._stands(place, mark)
        self._put(place, _manifest_key(place), image.manifest)
        if mark is not None:
            import random
            import time

            time.sleep(random.uniform(0.3, 0.6))
            self._stands(place, sha256(image.manifest))
        return f"s3://{place['bucket']}/{_manifest_key(place)}"

    # --- objects -------------------------------------------------------------------------------------------

    def _stands(self, place: Mapping[str, str], digest: str) -> None:
        try:
            found = sha256(self._read(place, _manifest_key(place), MAX_DOCUMENT))
        except NotFound:
            found = ""
        if found != digest:
            raise CacheMoved(f"s3://{place['bucket']} was written by somebody else meanwhile")

    def _send(self, place: Mapping[str, str], blob: Descriptor) -> None:
        if self._has(place, blob):
            return
        store = self._host.store
        if store.blobs.has(blob.digest):
            with store.blobs.open(blob.digest) as stream:
                self._put(place, _blob_key(place, blob), stream)
            return
        cached = store.cached.open(blob.digest)
        if cached is None:
            raise RegistryError(f"the store has no blob {blob.digest}", hint="build again")
        with cached, (store.scratch() / "blob").open("w+b") as spool:
            while piece := cached.read(PIECE):
                spool.write(piece)
            spool.seek(0)
            self._put(place, _blob_key(place, blob), spool)
            os.unlink(spool.name)

    def _put(self, place: Mapping[str, str], key: str, content: Any) -> None:
        _asked(lambda: _obstore().put(self._store(place), key, content))

    def _has(self, place: Mapping[str, str], blob: Descriptor) -> bool:
        try:
            found = _asked(lambda: _obstore().head(self._store(place), _blob_key(place, blob)))
        except NotFound:
            return False
        return bool(found["size"] == blob.size)

    def _blob(self, place: Mapping[str, str], blob: Descriptor, attrs: Mapping[str, str]) -> bytes:
        data = self._read(place, _blob_key(place, blob), LARGEST, attrs)
        if sha256(data) != blob.digest:
            raise CorruptBlob(f"the bucket has other bytes than {blob.digest}")
        return data

    def _read(self, place: Mapping[str, str], key: str, limit: int, attrs: Mapping[str, str] | None = None) -> bytes:
        found = _asked(lambda: _obstore().get(self._store(place, attrs), key))
        if found.meta["size"] > limit:
            raise RegistryError(f"{key} has {found.meta['size']} bytes, more than the {limit} allowed")
        return bytes(_asked(found.bytes))

    def _store(self, place: Mapping[str, str], attrs: Mapping[str, str] | None = None) -> Any:
        """The bucket. With `attrs` it is opened with the keys there, and is known with them from then on."""
        known = tuple(sorted((name, value) for name, value in place.items() if name in ("bucket", "endpoint_url")))
        if known not in self._stores or (attrs and any(name in attrs for name in KEYS)):
            self._stores[known] = _asked(lambda: _open(place, attrs or {}, deadline(self._host.settings)))
        return self._stores[known]


def _open(place: Mapping[str, str], attrs: Mapping[str, str], seconds: float) -> Any:
    config: dict[str, Any] = {KEYS[name]: attrs[name] for name in KEYS if attrs.get(name)}
    config["region"] = place.get("region") or os.environ.get("AWS_REGION") or "us-east-1"
    if endpoint := place.get("endpoint_url"):
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = place.get("use_path_style", "true") in ("false", "0")
    plain = urlsplit(place.get("endpoint_url", "")).scheme == "http"
    client = {"allow_http": plain, "connect_timeout": timedelta(seconds=seconds), "timeout": timedelta(seconds=300)}
    retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=3 * seconds)}
    made = importlib.import_module("obstore.store").S3Store
    return made(place["bucket"], config=config, client_options=client, retry_config=retry)


def _obstore() -> Any:
    try:
        return importlib.import_module("obstore")
    except ImportError:
        raise PluginError("type=s3 needs obstore", hint="pip install 'img-build[s3]'") from None


def _asked(act: Callable[[], T]) -> T:
    """What `act` gives. Errors of obstore become `NotFound` or `RegistryError`, without what was signed."""
    try:
        return act()
    except ImgError:
        raise
    except FileNotFoundError as error:
        raise NotFound("the bucket has no such object") from error
    except Exception as error:
        words = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise RegistryError(f"the bucket can't be used: {type(error).__name__}: {words[:200]}") from error


class _Stream(io.RawIOBase):
    """The pieces of an object as a raw stream."""

    def __init__(self, pieces: Iterator[Any]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = bytes(_asked(lambda: next(self._pieces, b"")))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _place(attrs: Mapping[str, str]) -> dict[str, str]:
    return {name: attrs[name] for name in PLACE if attrs.get(name)}


def _manifest_key(place: Mapping[str, str]) -> str:
    name = place.get("name", "buildkit")
    return f"{place.get('prefix', '')}{place.get('manifests_prefix', 'manifests/')}{name}"


def _blob_key(place: Mapping[str, str], blob: Descriptor) -> str:
    return f"{place.get('prefix', '')}{place.get('blobs_prefix', 'blobs/')}{blob.digest}"
