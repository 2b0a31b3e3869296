"""The canonical tar writer: the same entries give the same bytes, always.

POSIX ustar headers with numeric owners and whole seconds, and a pax header (pax(1), "pax Extended Header") only for
what ustar has no room for. Whiteouts are written as layer.md says, "Whiteouts". Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from img.errors import LayerError
from img.files.entry import Entry

BLOCK = 512
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"

_TYPES = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
    "whiteout": b"0",
}
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777


class TarWriter:
    """Writes entries, parents first, to `write`. Sockets are left out: an image can't hold one."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def add(self, entry: Entry, chunks: Iterable[bytes] = ()) -> None:
        """One entry; `chunks` are a file's bytes. Raises `LayerError` if they are not as long as it says."""
        if entry.kind == "socket" or (not entry.path and entry.kind != "dir"):
            return
        self._write(header(entry))
        if entry.kind == "file":
            self._content(entry, chunks)
        if entry.opaque:
            path = f"{entry.path}/{OPAQUE}" if entry.path else OPAQUE
            self._write(header(Entry(path, "file", 0o644, mtime=entry.mtime)))

    def _content(self, entry: Entry, chunks: Iterable[bytes]) -> None:
        count = 0
        for data in chunks:
            count += len(data)
            self._write(data)
        if count != entry.size:
            raise LayerError(f"{entry.path} has {count} bytes where {entry.size} were expected")
        if count % BLOCK:
            self._write(bytes(BLOCK - count % BLOCK))

    def close(self) -> None:
        """The end of the archive: two empty blocks."""
        self._write(bytes(2 * BLOCK))


def header(entry: Entry) -> bytes:
    """The header blocks of `entry`."""
    name = _name(entry)
    link = os.fsencode(entry.link)
    records: list[tuple[bytes, bytes]] = []
    prefix = b""
    if len(name) > 100:
        split = _split(name)
        if split is None:
            records.append((b"path", name))
            name = name[:100]
        else:
            prefix, name = split
    if len(link) > 100:
        records.append((b"linkpath", link))
        link = link[:100]
    uid, gid = _fit(entry.uid, _MAX_ID, b"uid", records), _fit(entry.gid, _MAX_ID, b"gid", records)
    size = _fit(entry.size if entry.kind == "file" else 0, _MAX_SIZE, b"size", records)
    mtime = _fit(entry.mtime // 1_000_000_000, _MAX_SIZE, b"mtime", records)
    records.extend((b"SCHILY.xattr." + os.fsencode(key), value) for key, value in entry.xattrs)
    fields = (name, entry.mode, uid, gid, size, mtime, _TYPES[entry.kind], link, *entry.device, prefix)
    return (_pax(records) if records else b"") + _ustar(*fields)


def _name(entry: Entry) -> bytes:
    if entry.kind == "dir":
        return os.fsencode(entry.path) + b"/" if entry.path else b"./"
    if entry.kind == "whiteout":
        head, slash, tail = entry.path.rpartition("/")
        return os.fsencode(f"{head}{slash}{WHITEOUT}{tail}")
    return os.fsencode(entry.path)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name of ustar for a long name, if it can be cut at a slash."""
    if len(name) > 256:
        return None
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    if cut <= 0 or len(name) - cut - 1 > 100:
        return None
    return name[:cut], name[cut + 1 :]


def _fit(value: int, most: int, key: bytes, records: list[tuple[bytes, bytes]]) -> int:
    if 0 <= value <= most:
        return value
    records.append((key, b"%d" % value))
    return 0


def _ustar(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    kind: bytes,
    link: bytes,
    major: int,
    minor: int,
    prefix: bytes,
) -> bytes:
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    tail = b"%s%sustar\x0000%s%07o\0%07o\0%s" % (
        kind,
        link.ljust(100, b"\0"),
        bytes(64),
        major,
        minor,
        prefix.ljust(167, b"\0"),
    )
    checksum = sum(head) + 8 * 32 + sum(tail)
    return b"%s%06o\0 %s" % (head, checksum, tail)


def _pax(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records))
    head = _ustar(b"PaxHeaders/x", 0o644, 0, 0, len(body), 0, b"x", b"", 0, 0, b"")
    return head + body + bytes(-len(body) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """One pax record: its own length in decimal, counted in itself."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    if len(str(size)) != len(str(rest)):
        size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)
