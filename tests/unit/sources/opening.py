"""Contexts as a session opens them, and the ways a tar is packed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any

from img.contexts.main import Main
from img.oci.compress import _zstd
from img.session import Request, Session

DOCKERFILE = b"FROM scratch\nCOPY . /\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: bytes(_zstd().compress(data)),
}


def opened(session: Session, context: object, stdin: bytes | None = None, **more: Any) -> Main:
    stream = None if stdin is None else io.BytesIO(stdin)
    return session._open(Request(context=str(context), stdin=stream, **more))


def seen(session: Session, context: object, stdin: bytes | None = None, **more: Any) -> dict[str, str]:
    """Path → kind of all that a build sees."""
    stream = None if stdin is None else io.BytesIO(stdin)
    listing = session.listing(Request(context=str(context), stdin=stream, **more))
    return {entry.path: entry.kind for entry in listing.entries()}
