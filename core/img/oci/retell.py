"""A layer's tar told again through the canonical writer: with times clamped, or to be cut into pieces.

What is dropped is what images do not carry: names of users and groups, fractions of seconds, headers of unknown types.
Everything else, whiteouts included, keeps its place and order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from img.files.entry import Entry
from img.oci.tar import BLOCK, header
from img.oci.untar import Content, from_chunks, read_tar

NANOSECONDS = 1_000_000_000


def members(plain: Iterable[bytes]) -> Iterator[tuple[Entry, Content]]:
    """The members of an uncompressed tar with names as `Entry` has them: no slash at the end, the root empty."""
    for entry, content in read_tar(from_chunks(plain)):
        path = entry.path.rstrip("/")
        yield entry._replace(path="" if path == "." else path), content


def clamped(plain: Iterable[bytes], epoch: int) -> Iterator[bytes]:
    """The same tar with no time later than `epoch` (Unix seconds), as reproducible builds define SOURCE_DATE_EPOCH."""
    latest = epoch * NANOSECONDS
    for entry, content in members(plain):
        if not entry.path and entry.kind != "dir":
            continue
        yield header(entry._replace(mtime=min(entry.mtime, latest)))
        if entry.kind == "file":
            yield from content.chunks()
            yield padding(entry.size)
    yield bytes(2 * BLOCK)


def padding(size: int) -> bytes:
    """What fills the last block of a file of `size` bytes."""
    return bytes(-size % BLOCK)
