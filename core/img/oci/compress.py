"""Compression of layers, as iterators over chunks: bounded memory, both cores at work, digests in the same pass."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from img.errors import LayerError
from img.hashing import Record

BLOCK = 1 << 20
"""Bytes of the tar in one independently compressed block."""
WINDOW = 32 << 10
LEVEL = 2
"""gzip's default: half again as fast as the next level, at 0.96 of its ratio. See docs/decisions/0028."""
ZSTD_LEVEL = 3
THREADS = 2
MAX_OUTPUT = 1 << 20

_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""gzip header (RFC 1952, 2.3): no name, no time, unknown system, so that the bytes say nothing of the machine."""


class Hashing:
    """Passes chunks on and hashes them; `digest` and `size` are right when they have all been taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._record = Record()

    def __iter__(self) -> Iterator[bytes]:
        for data in self._chunks:
            self._record.update(data)
            yield data

    @property
    def size(self) -> int:
        return self._record.size

    @property
    def digest(self) -> str:
        return self._record.digest


def gzip_chunks(chunks: Iterable[bytes], threads: int = THREADS, level: int = LEVEL) -> Iterator[bytes]:
    """One gzip member. Blocks are compressed side by side, each with the 32 KiB before it as dictionary, so the bytes
    are the same for any number of threads, and for any cutting of the input. `level` is 0 to 9."""
    from concurrent.futures import Future, ThreadPoolExecutor

    from isal import isal_zlib

    yield _HEADER
    crc, size, before = 0, 0, b""
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(threads, "gzip") as pool:
        for block in _blocks(chunks):
            crc = isal_zlib.crc32(block, crc)
            size += len(block)
            waiting.append(pool.submit(_deflate, block, before, level))
            before = block[-WINDOW:]
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    yield b"\x03\x00" + struct.pack("<II", crc, size & 0xFFFFFFFF)


def gzip_member(data: bytes, level: int = LEVEL) -> bytes:
    """One gzip member that holds `data` (at most 4 GiB) and can be read without what stands around it."""
    from isal import isal_zlib

    packer = _deflater(level, b"")
    packed: bytes = packer.compress(data) + packer.flush()
    return _HEADER + packed + struct.pack("<II", isal_zlib.crc32(data), len(data))


def _deflate(block: bytes, before: bytes, level: int) -> bytes:
    """`block` as deflate blocks that end on a byte and are not the last (RFC 1951)."""
    packer = _deflater(level, before)
    packed: bytes = packer.compress(block) + packer.flush(_SYNC_FLUSH)
    return packed


_SYNC_FLUSH = 2
"""Z_SYNC_FLUSH of zlib.h, the same in every library of its interface."""


def _deflater(level: int, before: bytes) -> Any:
    """A raw deflate compressor; `before` is its dictionary.

    zlib-ng's, never isal's: isal is faster, but gives other bytes on another processor, and now and then in another
    process (docs/decisions/0028)."""
    from zlib_ng import zlib_ng

    words: dict[str, Any] = {"zdict": before} if before else {}
    return zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15, **words)


def zstd_chunks(chunks: Iterable[bytes], threads: int = THREADS, level: int = ZSTD_LEVEL) -> Iterator[bytes]:
    """One zstd frame with a checksum. The library cuts its jobs by bytes of input alone, so the result is the same for
    any number of threads from one up; without any it would be another."""
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: level, parameter.nb_workers: max(threads, 1), parameter.checksum_flag: 1}
    packer = zstd.ZstdCompressor(options=options)
    for block in _blocks(chunks):
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of exactly `BLOCK`, but for the last."""
    pending = bytearray()
    for data in chunks:
        pending += data
        while len(pending) >= BLOCK:
            yield bytes(pending[:BLOCK])
            del pending[:BLOCK]
    if pending:
        yield bytes(pending)


# --- the other way ---------------------------------------------------------------------------------------------

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))


def sniff(head: bytes) -> str:
    """The compression that bytes begin with: gzip, zstd, bzip2, xz, or empty for none."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def decompressed(chunks: Iterable[bytes], media_type: str = "") -> Iterator[bytes]:
    """The plain bytes of a stream, whose compression its first bytes tell (`media_type` is for messages only, as
    registries are full of layers with the wrong one). Raises `LayerError` if it is damaged or cut short."""
    stream = iter(chunks)
    head = b""
    while len(head) < 6 and (data := next(stream, b"")):
        head += data
    kind = sniff(head)

    def whole() -> Iterator[bytes]:
        if head:
            yield head
        yield from stream

    if not kind:
        yield from whole()
        return
    try:
        yield from _gunzip(whole()) if kind == "gzip" else _unpack(whole(), kind)
    except LayerError:
        raise
    except Exception as error:
        if not isinstance(error, (ValueError, EOFError, OSError, *_errors(kind))):
            raise
        raise LayerError(
            f"the {kind} data of a layer {f'({media_type}) ' if media_type else ''}is damaged: {error}"
        ) from error


def _errors(kind: str) -> tuple[type[Exception], ...]:
    if kind == "gzip":
        from isal import isal_zlib

        found: Any = isal_zlib.error
        return (found,)
    if kind == "xz":
        import lzma

        return (lzma.LZMAError,)
    if kind == "zstd":
        damaged: type[Exception] = _zstd().ZstdError
        return (damaged,)
    return ()


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Every member of a gzip stream, one after the other; zeros after the last are padding."""
    from isal import isal_zlib

    unpacker = None
    for data in chunks:
        while data:
            if unpacker is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                unpacker = isal_zlib.decompressobj(31)
            plain = unpacker.decompress(data, MAX_OUTPUT)
            if plain:
                yield plain
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                data = unpacker.unused_data
                unpacker = None
            elif not data and len(plain) == MAX_OUTPUT:
                yield from _drain(unpacker)
    if unpacker is not None:
        raise EOFError("it ends in the middle")


def _drain(unpacker: Any) -> Iterator[bytes]:
    """What the unpacker still holds back after all input was taken."""
    while not unpacker.eof and (plain := unpacker.decompress(b"", MAX_OUTPUT)):
        yield plain


MEMBER = 8
"""Bytes that tell what follows a member: fewer than any member has."""
_SKIPPED = 0x184D2A50
"""Magic of zstd's skippable frames, with any last four bits (RFC 8878, 3.1.2): zstd:chunked layers have their table in one."""


def _unpack(chunks: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """The members of a bzip2, xz or zstd stream, through the library's unpacker with bounded output. What is no member,
    behind the first, ends them."""
    unpacker: Any = None
    waiting, skip, begun, over = b"", 0, False, False
    for data in chunks:
        if over:
            continue
        data, waiting = waiting + data, b""
        while data and not over:
            if skip:
                skip, data = max(0, skip - len(data)), data[skip:]
            elif unpacker is None and len(data) < MEMBER:
                waiting, data = data, b""
            elif unpacker is None and kind == "zstd" and (skip := _skipped(data)):
                continue
            elif unpacker is None and begun and sniff(data) != kind:
                over = True
            else:
                begun, unpacker = True, unpacker or _unpacker(kind)
                yield unpacker.decompress(data, MAX_OUTPUT)
                while not unpacker.eof and not unpacker.needs_input:
                    yield unpacker.decompress(b"", MAX_OUTPUT)
                data = unpacker.unused_data if unpacker.eof else b""
                unpacker = None if unpacker.eof else unpacker
    if unpacker is not None or not begun:
        raise EOFError("it ends in the middle")


def _skipped(data: bytes) -> int:
    """The length of the skippable frame that `data` begins with; 0 if it begins with none."""
    magic, size = struct.unpack_from("<II", data)
    return MEMBER + size if magic & ~0xF == _SKIPPED else 0


def _unpacker(kind: str) -> Any:
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor()
    if kind == "xz":
        import lzma

        return lzma.LZMADecompressor()
    return _zstd().ZstdDecompressor()


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        from backports import zstd
    return zstd
