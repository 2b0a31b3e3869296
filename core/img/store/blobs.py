"""Content-addressed bytes, in the folder form of the OCI image layout (image-layout.md, "Blobs")."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from img.digest import is_digest
from img.errors import CorruptBlob, StoreError
from img.hashing import Record
from img.store.using import Using

CHUNK = 1 << 20
LOOK = 64 << 20
"""Bytes of a blob after which it is looked whether the store still has room for it."""


class Blobs:
    """Blobs below `root`/blobs. A blob is there whole or not at all; a second write of one changes nothing."""

    def __init__(self, root: Path, tmp: Path, use: Using) -> None:
        self._folder = root / "blobs" / "sha256"
        self._tmp = tmp
        self._use = use
        self.room: Callable[[], None] = _no_limit
        """Called when something large has come into the store."""

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be. Raises `StoreError` for text that is no sha256 digest."""
        if not is_digest(digest):
            raise StoreError(f"{digest!r} is not a sha256 digest")
        return self._folder / digest[7:]

    def has(self, digest: str) -> bool:
        return self._use.there(digest, self.path(digest))

    def size(self, digest: str) -> int:
        """Bytes of a blob. Raises `StoreError` if it is not there."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError as error:
            raise StoreError(f"the store has no blob {digest}") from error

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes, not verified. Raises `StoreError` if it is not there."""
        self._use.note(digest)
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise StoreError(f"the store has no blob {digest}") from error

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The blob's bytes in pieces, verified: after the last piece, raises `CorruptBlob` if they were not the
        promised ones. The damaged file is removed, so that the next build makes or pulls it again."""
        record = Record()
        with self.open(digest) as stream:
            while data := stream.read(CHUNK):
                record.update(data)
                yield data
        if record.digest != digest:
            self.remove(digest)
            raise CorruptBlob(
                f"the stored blob {digest} was damaged and has been removed",
                hint="run the same command again: it is made or pulled anew",
            )

    def read(self, digest: str, limit: int = 4 << 20) -> bytes:
        """A small blob, whole and verified. Raises `CorruptBlob`, `StoreError`."""
        if self.size(digest) > limit:
            raise StoreError(f"blob {digest} is larger than the {limit} bytes expected of its kind")
        return b"".join(self.chunks(digest))

    def put(self, data: bytes) -> str:
        """Store `data`; returns its digest."""
        return self.write((data,))[0]

    def write(self, chunks: Iterable[bytes], expected: str | None = None, size: int | None = None) -> tuple[str, int]:
        """Store a stream; returns digest and size. With `expected` or `size`, raises `CorruptBlob` on a difference
        (and as soon as more than `size` bytes came). Nothing is left behind on any error."""
        path = self._tmp / f"blob-{os.getpid()}-{os.urandom(6).hex()}"
        try:
            return self._write(path, chunks, expected, size)
        except OSError as error:
            raise disk_error(error, self._folder) from error
        finally:
            path.unlink(missing_ok=True)

    def _write(self, path: Path, chunks: Iterable[bytes], expected: str | None, size: int | None) -> tuple[str, int]:
        record, count = Record(), 0
        with path.open("xb", buffering=0) as out:
            for data in chunks:
                count += len(data)
                if size is not None and count > size:
                    raise CorruptBlob(f"more than the promised {size} bytes came for {expected or 'a blob'}")
                record.update(data)
                _write_all(out.fileno(), data)
                if count // LOOK > (count - len(data)) // LOOK:
                    self.room()
        digest = record.digest
        if size is not None and count != size:
            raise CorruptBlob(f"only {count} of the promised {size} bytes came for {expected or 'a blob'}")
        if expected is not None and digest != expected:
            raise CorruptBlob(f"bytes that should be {expected} are {digest}")
        self._use.note(digest)
        os.replace(path, self.path(digest))
        if count > CHUNK:
            self.room()
        return digest, count

    def remove(self, digest: str) -> None:
        """Forget a blob, if it is there."""
        self.path(digest).unlink(missing_ok=True)


def _no_limit() -> None:
    """A store that may grow as it likes."""


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def disk_error(error: OSError, place: Path) -> StoreError:
    """An operating-system error on the store as a `StoreError` that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"no space left on the disk of {place}",
            hint="free some space, or name a folder on another disk with --state or IMG_ROOT; nothing was lost",
        )
    hint = "check the store's disk, owner and mode"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
        hint = f"set IMG_ROOT to a folder that the user {os.geteuid()} may write to, or HOME to one that is theirs"
    return StoreError(f"the store {place}: {error.filename or place}: {error.strerror or error}", hint=hint)
