"""Tars as contexts: told from build files by content, in any compression, and unpacked without trusting them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from img.contexts.reading import LIMIT
from img.errors import LayerError, UsageError

BLOCK = 512
CHUNK = 1 << 20


class NoTar(UsageError):
    """Compressed data, but no tar is in it."""


def unpack_or_read(stream: BinaryIO, dest: Path, what: str) -> bytes | None:
    """Unpack the tar that `stream` holds into the empty folder `dest` and return None; a stream that is no tar is a
    build file, and returned. `what` names the stream in errors. The stream is read to its end.

    Raises `UsageError` for a stream that is empty, damaged, hostile, or too long for a build file.
    """
    try:
        kind, head, rest = _opened(stream)
        if is_tar(head):
            _unpack(head, rest, dest)
            while stream.read(CHUNK):
                pass
            return None
        if kind:
            raise NoTar(f"{what} is {kind} data, but no tar is in it", hint="send a tar, or a build file as it is")
        if not head:
            raise UsageError(f"{what} is empty", hint="send a tar of a folder, or a build file")
        return _text(head, rest, what)
    except LayerError as error:
        message = error.message.replace("the layer", "it").replace("data of a layer", "data")
        raise UsageError(f"{what} can't be unpacked: {message}", hint=error.hint) from error


def is_tar(head: bytes) -> bool:
    """Whether the first bytes of a file are a tar header (its checksum tells), or the end mark of an empty tar."""
    if len(head) < BLOCK:
        return False
    block = head[:BLOCK]
    if not block.strip(b"\0"):
        return True
    stated = block[148:156].split(b"\0")[0].strip()
    try:
        return bool(stated) and int(stated, 8) == sum(block[:148]) + 8 * 32 + sum(block[156:])
    except ValueError:
        return False


def _opened(stream: BinaryIO) -> tuple[str, bytes, Iterator[bytes]]:
    """The compression of a stream, its first plain bytes (a block, or all there are), and the rest."""
    from img.oci.compress import decompressed, sniff

    packed = b""
    while len(packed) < BLOCK and (data := stream.read(BLOCK - len(packed))):
        packed += data
    whole: Iterable[bytes] = _chain(packed, iter(lambda: stream.read(CHUNK), b""))
    rest = iter(decompressed(whole))
    head = b""
    while len(head) < BLOCK and (data := next(rest, b"")):
        head += data
    return sniff(packed), head, rest


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _text(head: bytes, rest: Iterator[bytes], what: str) -> bytes:
    parts, size = [head], len(head)
    for data in rest:
        size += len(data)
        if size > LIMIT:
            raise UsageError(f"{what} is no tar, and has more than the {LIMIT} bytes allowed in a build file")
        parts.append(data)
    return b"".join(parts)


def _unpack(head: bytes, rest: Iterator[bytes], dest: Path) -> None:
    from img.oci.apply import apply_tar

    apply_tar(_Bytes(_chain(head, rest)).read, os.fspath(dest), whiteouts=False, owners=False)


class _Bytes:
    """Pieces of any size as a `read` of at most so many bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._piece = memoryview(piece)
        data, self._piece = self._piece[:size], self._piece[size:]
        return bytes(data)
