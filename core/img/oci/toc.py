"""Tables of contents that layers carry: what is in a layer, read without fetching it.

Two kinds, with the same JSON: of eStargz (containerd's stargz-snapshotter, docs/estargz.md), found by a footer of 51 bytes,
and of zstd:chunked (containers/storage, pkg/chunked), whose place the layer's descriptor says. Either is only believed if
the descriptor has its digest: then whoever vouches for the image vouches for the table.
"""

from __future__ import annotations

import base64
import calendar
import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import IO, Any

from img.digest import sha256
from img.errors import LayerError
from img.files.entry import Entry, Kind
from img.files.outline import CONTENT, LONGEST
from img.files.xattrs import kept
from img.oci.compress import decompressed
from img.oci.estargz import LANDMARKS, TOC_DIGEST, footer
from img.oci.spec import Descriptor
from img.oci.tar import OPAQUE, WHITEOUT
from img.oci.untar import MAX_PATH, from_chunks, read_tar
from img.oci.ways import clean

CHUNKED = ("io.github.containers.zstd-chunked.manifest", "io.containers.zstd-chunked.manifest")
"""How annotations of zstd:chunked begin, with ``-position`` and ``-checksum`` behind it: now, and before 2023."""
LARGEST = 64 << 20
"""Bytes of the largest table that is read, packed or not."""
FOOTER = len(footer(0))

OpenAt = Callable[[int, int], IO[bytes]]
"""Two offsets → the blob's bytes from the first on; none that lie behind the second are needed."""

_KINDS: dict[str, Kind] = {
    "reg": "file",
    "dir": "dir",
    "symlink": "symlink",
    "hardlink": "hardlink",
    "char": "char",
    "block": "block",
    "fifo": "fifo",
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")
NANOSECONDS = 1_000_000_000


def has_toc(descriptor: Descriptor) -> bool:
    """Whether a layer says that it has a table of contents, and which."""
    return TOC_DIGEST in descriptor.annotations or _place(descriptor) is not None


def _place(descriptor: Descriptor) -> tuple[str, str] | None:
    """Where a zstd:chunked layer says that its table is, and the table's digest."""
    notes = descriptor.annotations
    found = [(notes.get(f"{name}-position", ""), notes.get(f"{name}-checksum", "")) for name in CHUNKED]
    return next((pair for pair in found if all(pair)), None)


def read_toc(descriptor: Descriptor, open_at: OpenAt, contents: Collection[str] = ()) -> list[Entry]:
    """The entries of a layer, in the order of its tar, names relative to the root but not resolved; whiteouts as trees
    have them, and a whiteout that is ``opaque`` for a folder whose lower content is hidden. The files `contents`
    have their bytes with them, unless these are long or not what the table says. Raises `LayerError`, and what `open_at`
    raises."""
    place = _place(descriptor)
    if TOC_DIGEST in descriptor.annotations or place is None:
        data = _estargz(descriptor, open_at, descriptor.annotations.get(TOC_DIGEST, ""))
    else:
        data = _chunked(*place, open_at)
    try:
        document = json.loads(data)
        rows = document["entries"]
        entries = list(_entries(rows))
        files = [row for row in rows if row["type"] == "reg"] if contents else []
        ends = sorted({descriptor.size, *(int(row.get("offset") or 0) for row in files)})
        told = {path: _content(row, ends, open_at) for row in files if (path := _path(row["name"])) in contents}
        return [e._replace(xattrs=told[e.path]) if e.kind == "file" and e.path in told else e for e in entries]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, StopIteration) as error:
        raise LayerError(f"the table of contents of {descriptor.digest} can't be read: {error}") from error


# --- finding it ----------------------------------------------------------------------------------------------------


def _estargz(descriptor: Descriptor, open_at: OpenAt, digest: str) -> bytes:
    at = descriptor.size - FOOTER
    tail = _read(open_at, at, FOOTER) if at > 0 else b""
    match = re.fullmatch(rb"([0-9a-f]{16})STARGZ", tail[16:38])
    start = int(match[1], 16) if match else at
    if not 0 <= start < at or at - start > LARGEST:
        raise LayerError(f"{descriptor.digest} does not end as an eStargz layer does")
    packed = _read(open_at, start, at - start)
    for _, content in read_tar(from_chunks(_bounded(packed))):
        return _checked(b"".join(content.chunks()), digest)
    raise LayerError(f"{descriptor.digest} has no table of contents")


def _chunked(position: str, digest: str, open_at: OpenAt) -> bytes:
    numbers = position.split(":")
    if len(numbers) != 4 or not all(number.isascii() and number.isdigit() for number in numbers) or numbers[3] != "1":
        raise LayerError(f"{position!r} is not the place of a table of contents")
    start, size = int(numbers[0]), int(numbers[1])
    if size > LARGEST:
        raise LayerError(f"a table of contents of {size} bytes is more than the {LARGEST} allowed")
    return b"".join(_bounded(_checked(_read(open_at, start, size), digest)))


def _read(open_at: OpenAt, at: int, size: int) -> bytes:
    data = bytearray()
    with open_at(at, at + size) as stream:
        while len(data) < size and (piece := stream.read(size - len(data))):
            data += piece
    return bytes(data)


def _content(row: dict[str, Any], ends: Sequence[int], open_at: OpenAt) -> tuple[tuple[str, bytes], ...]:
    """The bytes of a file, as the attribute that outlines have them by. They come before the next of `ends`."""
    size, skip = int(row.get("size") or 0), int(row.get("innerOffset") or 0)
    if not 0 <= size <= LONGEST or not 0 <= skip <= LONGEST:
        return ()
    data = bytearray()
    if size:
        at = int(row["offset"])
        end = min(next(end for end in ends if end > at), at + 3 * LONGEST)
        for piece in decompressed(iter([_read(open_at, at, end - at)])):
            data += piece
            if len(data) >= skip + size:
                break
    found = bytes(data[skip : skip + size])
    return ((CONTENT, found),) if not size or sha256(found) == row.get("digest") else ()


def _bounded(packed: bytes) -> Iterator[bytes]:
    total = 0
    for piece in decompressed(iter([packed])):
        total += len(piece)
        if total > LARGEST:
            raise LayerError(f"a table of contents has more than the {LARGEST} bytes allowed")
        yield piece


def _checked(data: bytes, digest: str) -> bytes:
    if sha256(data) != digest:
        raise LayerError(f"a table of contents has other bytes than its image says ({digest})")
    return data


# --- reading it ----------------------------------------------------------------------------------------------------


def _entries(rows: list[dict[str, Any]]) -> Iterator[Entry]:
    for row in rows:
        if row["type"] == "chunk":
            continue
        path = _path(row["name"])
        if path in LANDMARKS:
            continue
        head, _, name = path.rpartition("/")
        if name == OPAQUE:
            yield Entry(head, "whiteout", opaque=True)
        elif name.startswith(WHITEOUT * 2):
            continue
        elif name.startswith(WHITEOUT):
            yield Entry(_path(f"{head}/{name[len(WHITEOUT) :]}"), "whiteout")
        else:
            yield _entry(path, row)


def _entry(path: str, row: dict[str, Any]) -> Entry:
    kind = _KINDS[row["type"]]
    link = str(row.get("linkName") or "")
    if len(link) > MAX_PATH:
        raise ValueError(f"the link {path} is too long")
    if kind == "hardlink":
        link = _path(link)
    if kind not in ("dir", "symlink"):
        return Entry(path, kind, link=link if kind == "hardlink" else "")
    found = (row.get("xattrs") or {}).items()
    xattrs = tuple(sorted((name, base64.b64decode(value)) for name, value in found if kept(name)))
    mode = int(row.get("mode") or 0) & 0o7777 if kind == "dir" else 0o777
    owner = int(row.get("uid") or 0), int(row.get("gid") or 0)
    return Entry(path, kind, mode, *owner, mtime=_time(row.get("modtime") or ""), link=link, xattrs=xattrs)


def _path(name: str) -> str:
    if len(name) > MAX_PATH or "\0" in name:
        raise ValueError("a name is too long, or not a name")
    return "/".join(clean(name))


def _time(text: str) -> int:
    """RFC 3339 in nanoseconds since 1970, as exact as a layer's tar: whole seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        return 0
    seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    if match[2] != "Z":
        hours, minutes = match[2][1:].split(":")
        seconds -= (int(hours) * 3600 + int(minutes) * 60) * (1 if match[2][0] == "+" else -1)
    return seconds * NANOSECONDS
