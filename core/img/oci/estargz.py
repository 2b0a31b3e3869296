"""eStargz: a gzip layer whose files can be fetched one by one (containerd's stargz-snapshotter, docs/estargz.md).

Every non-empty file, in chunks of `CHUNK`, is a gzip member of its own; the last entry of the tar, ``stargz.index.json``,
lists all others with the place of their members and the digest of each chunk; a footer of 51 bytes says where that
begins. To everybody else it is a gzip layer like any other. The tar has two entries more than the one it was made from, so
its diff id is another.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from img.digest import sha256
from img.files.entry import Entry
from img.oci.compress import LEVEL, THREADS, gzip_member
from img.oci.retell import NANOSECONDS, members, padding
from img.oci.tar import BLOCK, header

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from img.oci.untar import Content

TOC = "stargz.index.json"
LANDMARKS = (".no.prefetch.landmark", ".prefetch.landmark")
TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
UNCOMPRESSED_SIZE = "io.containers.estargz.uncompressed-size"
CHUNK = 4 << 20
SMALL = 64 << 10
"""Members up to this size are compressed on the spot: a thread would cost more than it saves."""

_TYPES = {
    "file": "reg",
    "dir": "dir",
    "symlink": "symlink",
    "hardlink": "hardlink",
    "char": "char",
    "block": "block",
    "fifo": "fifo",
}


class Estargz:
    """The compressed bytes of an uncompressed tar, by iteration; when they have all been taken, also what is known of
    them. The same for any number of `threads`. Memory is a few chunks and the table of contents."""

    def __init__(self, plain: Iterable[bytes], threads: int = THREADS, level: int = LEVEL) -> None:
        self._plain = plain
        self._threads = threads
        self._level = level
        self._record = hashlib.sha256()
        self._size = 0
        self._offset = 0
        self._rows: list[dict[str, Any]] = []
        self._waiting: deque[tuple[bytes | Future[bytes], dict[str, Any] | None]] = deque()
        self._between = bytearray()
        self._toc_digest = ""

    @property
    def diff_id(self) -> str:
        """The digest of the new uncompressed tar."""
        return "sha256:" + self._record.hexdigest()

    @property
    def annotations(self) -> dict[str, str]:
        """What the layer's descriptor has to say."""
        return {TOC_DIGEST: self._toc_digest, UNCOMPRESSED_SIZE: str(self._size)}

    def __iter__(self) -> Iterator[bytes]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self._threads, "estargz") as pool:
            for entry, chunks in self._entries():
                self._plainly(header(entry))
                row = _row(entry)
                self._rows.append(row)
                if entry.kind == "file" and entry.size:
                    yield from self._file(pool, entry, row, chunks)
                yield from self._ready(2 * self._threads)
            self._flush(pool)
            yield from self._ready(0)
        yield from self._end()

    def _entries(self) -> Iterator[tuple[Entry, Iterable[bytes]]]:
        """The landmark that says nothing need be fetched ahead, then the layer's own."""
        yield Entry(LANDMARKS[0], "file", size=1), (b"\x0f",)
        for entry, content in members(self._plain):
            if entry.path in (TOC, *LANDMARKS) or (not entry.path and entry.kind != "dir"):
                continue
            yield entry, _chunks(content) if entry.kind == "file" else ()

    def _file(
        self, pool: ThreadPoolExecutor, entry: Entry, row: dict[str, Any], chunks: Iterable[bytes]
    ) -> Iterator[bytes]:
        whole = hashlib.sha256() if entry.size > CHUNK else None
        first, done = row, 0
        self._flush(pool)
        for number, data in enumerate(chunks):
            if number:
                row = {"name": row["name"], "type": "chunk", "chunkOffset": done}
                self._rows.append(row)
            if whole is not None:
                whole.update(data)
            done += len(data)
            if done < entry.size or number:
                row["chunkSize"] = len(data) if done < entry.size else 0
            row["chunkDigest"] = sha256(data)
            self._hash(data)
            self._member(pool, data, row)
            yield from self._ready(2 * self._threads)
        first["digest"] = first["chunkDigest"] if whole is None else "sha256:" + whole.hexdigest()
        self._plainly(padding(entry.size))

    def _plainly(self, data: bytes) -> None:
        """Bytes of the tar that are no file's."""
        self._hash(data)
        self._between += data

    def _hash(self, data: bytes) -> None:
        self._record.update(data)
        self._size += len(data)

    def _flush(self, pool: ThreadPoolExecutor) -> None:
        if self._between:
            self._member(pool, bytes(self._between), None)
            self._between.clear()

    def _member(self, pool: ThreadPoolExecutor, data: bytes, row: dict[str, Any] | None) -> None:
        made = gzip_member(data, self._level) if len(data) <= SMALL else pool.submit(gzip_member, data, self._level)
        self._waiting.append((made, row))

    def _ready(self, most: int) -> Iterator[bytes]:
        """Members in order, until no more than `most` wait; each row learns where its member begins."""
        while len(self._waiting) > most:
            made, row = self._waiting.popleft()
            data = made if isinstance(made, bytes) else made.result()
            if row is not None:
                row["offset"] = self._offset
            self._offset += len(data)
            yield data

    def _end(self) -> Iterator[bytes]:
        document = json.dumps({"version": 1, "entries": self._rows}, ensure_ascii=False, separators=(",", ":"))
        toc = document.encode("utf-8", "surrogateescape")
        self._toc_digest = sha256(toc)
        tar = header(Entry(TOC, "file", 0o444, size=len(toc))) + toc + padding(len(toc)) + bytes(2 * BLOCK)
        self._hash(tar)
        yield gzip_member(tar, self._level)
        yield footer(self._offset)


def footer(offset: int) -> bytes:
    """The last 51 bytes: an empty gzip member whose extra field says where the table of contents begins."""
    extra = b"SG\x16\x00" + f"{offset:016x}STARGZ".encode()
    return b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\x00" + extra + b"\x01\0\0\xff\xff" + bytes(8)


def _row(entry: Entry) -> dict[str, Any]:
    name = f"{entry.path}/" if entry.kind == "dir" else entry.path
    row: dict[str, Any] = {"name": "./" if name == "/" else name, "type": _TYPES[entry.kind]}
    if entry.kind == "file" and entry.size:
        row["size"] = entry.size
    row["modtime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.mtime // NANOSECONDS))
    if entry.kind in ("symlink", "hardlink"):
        row["linkName"] = entry.link
    row.update({"mode": entry.mode, "uid": entry.uid, "gid": entry.gid})
    if entry.kind in ("char", "block"):
        row["devMajor"], row["devMinor"] = entry.device
    if entry.xattrs:
        row["xattrs"] = {key: b64encode(value).decode() for key, value in entry.xattrs}
    return row


def _chunks(content: Content) -> Iterator[bytes]:
    """A file's bytes in pieces of exactly `CHUNK`, but for the last."""
    pending = bytearray()
    for data in content.chunks():
        pending += data
        while len(pending) >= CHUNK:
            yield bytes(pending[:CHUNK])
            del pending[:CHUNK]
    if pending:
        yield bytes(pending)
