"""The tar reader: entries with their content, from a stream that is never trusted and never held whole.

Reads ustar, pax (local and global headers), GNU long names and links, GNU sparse files (old, 0.0, 0.1 and 1.0), numbers
in base 256, and v7. Raises `LayerError` naming the offset of what is wrong. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from img.errors import LayerError
from img.files.entry import Entry, Kind

BLOCK = 512
CHUNK = 1 << 20
MAX_PAX = 1 << 20
"""Bytes of the largest pax header or long name."""
MAX_RECORDS = 1024
"""Records of pax headers that hold for one member: global ones and its own."""
MAX_PATH = 4096

Read = Callable[[int], bytes]
Segments = list[tuple[int, int]]
"""A sparse file's data: (offset in the file, length)."""

_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"S": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "dir",
    b"6": "fifo",
}


class _Stream:
    """Exact reads from a source that may return less than asked, with the offset for messages."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.offset = 0

    def exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            data = self._read(size)
            if not data:
                raise LayerError(f"the tar ends in the middle, at byte {self.offset}")
            self.offset += len(data)
            size -= len(data)
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def block(self) -> bytes | None:
        """The next header block, None at the end of the stream."""
        first = self._read(BLOCK)
        if not first:
            return None
        self.offset += len(first)
        return first if len(first) == BLOCK else first + self.exactly(BLOCK - len(first))

    def skip(self, size: int) -> None:
        while size:
            size -= len(self.exactly(min(size, CHUNK)))


class Content:
    """The bytes of one member. What is not read is skipped when the next entry is asked for."""

    def __init__(self, stream: _Stream, stored: int, size: int, segments: Segments | None = None) -> None:
        self._stream = stream
        self._left = stored
        self._padding = -stored % BLOCK
        self._size = size
        self._segments = segments

    def chunks(self) -> Iterator[bytes]:
        """All bytes in pieces of at most `CHUNK`; the holes of a sparse file as zeros."""
        if self._segments is None:
            yield from self._take(self._left)
            return
        done = 0
        for offset, length in self._segments:
            yield from _zeros(offset - done)
            yield from self._take(length)
            done = offset + length
        yield from _zeros(self._size - done)

    def _take(self, size: int) -> Iterator[bytes]:
        while size:
            data = self._stream.exactly(min(size, CHUNK))
            size -= len(data)
            self._left -= len(data)
            yield data

    def drop(self) -> None:
        """Skip what is left of the member."""
        self._stream.skip(self._left + self._padding)
        self._left = self._padding = 0


def _zeros(size: int) -> Iterator[bytes]:
    while size > 0:
        yield bytes(min(size, CHUNK))
        size -= CHUNK


def from_chunks(chunks: Iterable[bytes]) -> Read:
    """`read(n)` over pieces of any size: as many bytes as asked for, fewer only at the end."""
    stream = iter(chunks)
    pending = bytearray()

    def read(size: int) -> bytes:
        while len(pending) < size and (data := next(stream, b"")):
            pending.extend(data)
        taken = bytes(pending[:size])
        del pending[:size]
        return taken

    return read


def read_tar(read: Read) -> Iterator[tuple[Entry, Content]]:
    """The members of the archive that `read(n)` gives the bytes of, in order. Names are as they stand."""
    stream = _Stream(read)
    common: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    sparse: list[tuple[str, bytes]] = []
    while (block := stream.block()) is not None:
        if not block.strip(b"\0"):
            break
        _check(block, stream)
        kind = block[156:157]
        if kind in b"xgLK":
            body = _body(stream, block)
            if kind == b"x":
                own.update(_pax(body, stream, sparse))
            elif kind == b"g":
                common.update(_pax(body, stream, []))
            else:
                own["path" if kind == b"L" else "linkpath"] = body.rstrip(b"\0")
            _bound((common, own), sparse, stream)
            continue
        entry, content = _member(stream, block, {**common, **own}, sparse)
        own, sparse = {}, []
        if entry is not None:
            yield entry, content
        content.drop()


def _bound(headers: Sequence[dict[str, bytes]], sparse: list[tuple[str, bytes]], stream: _Stream) -> None:
    """Headers add up: what stands for one member must stay small, however many there are."""
    records = [value for header in headers for value in header.values()]
    if len(records) > MAX_RECORDS or sum(map(len, records)) > MAX_PAX or len(sparse) > MAX_PAX // 24:
        raise LayerError(f"the pax headers before byte {stream.offset} are too many, or too long together")


def _check(block: bytes, stream: _Stream) -> None:
    stated = _number(block[148:156], stream)
    head = sum(block[:148]) + 8 * 32 + sum(block[156:])
    if head != stated:
        raise LayerError(f"bad tar header at byte {stream.offset - BLOCK}: its checksum is wrong")


def _body(stream: _Stream, block: bytes) -> bytes:
    size = _number(block[124:136], stream)
    if size > MAX_PAX:
        raise LayerError(f"the tar header at byte {stream.offset - BLOCK} has {size} bytes, {MAX_PAX} are allowed")
    body = stream.exactly(size)
    stream.skip(-size % BLOCK)
    return body


def _number(field: bytes, stream: _Stream) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field[1:], "big")
        return (
            value - (1 << (8 * (len(field) - 1)))
            if field[0] == 0xFF
            else value | (field[0] & 0x7F) << (8 * (len(field) - 1))
        )
    text = field.split(b"\0")[0].strip()
    try:
        value = int(text, 8) if text else 0
    except ValueError:
        value = -1
    if value < 0:
        raise LayerError(f"bad tar header at byte {stream.offset - BLOCK}: {field!r} is not a number")
    return value


def _pax(body: bytes, stream: _Stream, sparse: list[tuple[str, bytes]]) -> dict[str, bytes]:
    """The records of a pax header; those of sparse format 0.0, which repeat, go to `sparse`."""
    records: dict[str, bytes] = {}
    while body:
        length, _, _ = body.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 8 else 0
        record = body[len(length) + 1 : size]
        key, equals, value = record.partition(b"=")
        if not size or size > len(body) or not equals or not value.endswith(b"\n"):
            raise LayerError(f"bad pax header before byte {stream.offset}")
        name = os.fsdecode(key)
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            sparse.append((name, value[:-1]))
        else:
            records[name] = value[:-1]
        body = body[size:]
    return records


def _member(
    stream: _Stream, block: bytes, pax: dict[str, bytes], sparse: list[tuple[str, bytes]]
) -> tuple[Entry | None, Content]:
    flag = block[156:157]
    stored = _integer(pax, "size", stream) if "size" in pax else _number(block[124:136], stream)
    if stored < 0:
        raise LayerError(f"bad tar header at byte {stream.offset - BLOCK}: negative size")
    kind = _KINDS.get(flag)
    name = pax.get("path", _ustar_name(block))
    if kind == "file" and flag in b"\x000" and name.endswith(b"/"):
        kind = "dir"
    if kind != "file":
        stored = 0 if kind is not None else stored
    size, segments = stored, None
    if kind == "file" and (flag == b"S" or sparse or any(key.startswith("GNU.sparse.") for key in pax)):
        size, segments, stored, name = _sparse(stream, block, pax, sparse, stored, name)
    content = Content(stream, stored, size, segments)
    if kind is None:
        return None, content
    return _entry(stream, block, pax, kind, name, size), content


def _entry(stream: _Stream, block: bytes, pax: dict[str, bytes], kind: Kind, name: bytes, size: int) -> Entry:
    link = pax.get("linkpath", block[157:257].split(b"\0")[0]) if kind in ("symlink", "hardlink") else b""
    if len(name) > MAX_PATH or len(link) > MAX_PATH or b"\0" in name + link:
        raise LayerError(f"the name in the tar header at byte {stream.offset - BLOCK} is too long, or not a name")
    device = (0, 0)
    if kind in ("char", "block"):
        device = (_number(block[329:337], stream), _number(block[337:345], stream))
    prefix = "SCHILY.xattr."
    xattrs = tuple(sorted((key[len(prefix) :], value) for key, value in pax.items() if key.startswith(prefix)))
    return Entry(
        os.fsdecode(name),
        kind,
        _number(block[100:108], stream) & 0o7777,
        _integer(pax, "uid", stream) if "uid" in pax else _number(block[108:116], stream),
        _integer(pax, "gid", stream) if "gid" in pax else _number(block[116:124], stream),
        size if kind == "file" else 0,
        _mtime(pax["mtime"], stream) if "mtime" in pax else _number(block[136:148], stream) * 1_000_000_000,
        os.fsdecode(link),
        device,
        xattrs,
    )


def _ustar_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        return block[345:500].split(b"\0")[0] + b"/" + name
    return name


def _integer(pax: dict[str, bytes], key: str, stream: _Stream) -> int:
    try:
        return int(pax[key])
    except (ValueError, KeyError):
        raise LayerError(f"bad pax header before byte {stream.offset}: {key} is not a number") from None


def _mtime(text: bytes, stream: _Stream) -> int:
    whole, _, fraction = text.partition(b".")
    try:
        nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
        seconds = int(whole)
    except ValueError:
        raise LayerError(f"bad pax header before byte {stream.offset}: mtime is not a time") from None
    return seconds * 1_000_000_000 + (-nanoseconds if whole.startswith(b"-") else nanoseconds)


# --- GNU sparse files (tar manual, "Storing Sparse Files") -------------------------------------------------


def _sparse(
    stream: _Stream, block: bytes, pax: dict[str, bytes], old: list[tuple[str, bytes]], stored: int, name: bytes
) -> tuple[int, Segments, int, bytes]:
    """Real size, data segments, stored bytes and name of a sparse member."""
    if block[156:157] == b"S":
        size, segments = _old_sparse(stream, block)
    elif pax.get("GNU.sparse.major") == b"1":
        size = _integer(pax, "GNU.sparse.realsize", stream)
        segments, used = _sparse_map(stream, stored)
        stored -= used
    else:
        size = _integer(pax, "GNU.sparse.size", stream)
        numbers = [value for _, value in old] or pax.get("GNU.sparse.map", b"").split(b",")
        segments = _pairs([int(n) if n.isdigit() else -1 for n in numbers if n])
    name = pax.get("GNU.sparse.name", name)
    end = 0
    for offset, length in segments:
        if offset < end or length < 0:
            raise LayerError(f"bad sparse map before byte {stream.offset}")
        end = offset + length
    if end > size or sum(length for _, length in segments) != stored:
        raise LayerError(f"bad sparse map before byte {stream.offset}")
    return size, segments, stored, name


def _pairs(numbers: list[int]) -> Segments:
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def _old_sparse(stream: _Stream, block: bytes) -> tuple[int, Segments]:
    segments = _old_pairs(block[386:482], stream)
    more = block[482]
    while more:
        extra = stream.exactly(BLOCK)
        segments += _old_pairs(extra[:504], stream)
        more = extra[504]
        if len(segments) > MAX_PAX // 24:
            raise LayerError(f"the sparse map before byte {stream.offset} is too long")
    return _number(block[483:495], stream), segments


def _old_pairs(data: bytes, stream: _Stream) -> Segments:
    pairs: Segments = []
    for start in range(0, len(data) - 23, 24):
        if data[start]:
            pairs.append((_number(data[start : start + 12], stream), _number(data[start + 12 : start + 24], stream)))
    return pairs


def _sparse_map(stream: _Stream, stored: int) -> tuple[Segments, int]:
    """Format 1.0: a map in decimal lines before the data, padded to whole blocks. Returns it and its length."""
    data, used = b"", 0

    def lines(count: int) -> list[bytes]:
        nonlocal data, used
        while data.count(b"\n") < count:
            if used >= min(stored, MAX_PAX):
                raise LayerError(f"bad sparse map before byte {stream.offset}")
            data += stream.exactly(BLOCK)
            used += BLOCK
        return data.split(b"\n")[:count]

    first = lines(1)[0]
    count = int(first) if first.isdigit() else MAX_PAX
    if count > MAX_PAX // 4:
        raise LayerError(f"bad sparse map before byte {stream.offset}")
    numbers = lines(1 + 2 * count)[1:]
    return _pairs([int(n) if n.isdigit() else -1 for n in numbers]), used
