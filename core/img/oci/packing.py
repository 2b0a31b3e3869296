"""What an image wants its layers packed like, in the words of ``--output``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from img.errors import UsageError
from img.oci.compress import LEVEL, THREADS, ZSTD_LEVEL, gzip_chunks, zstd_chunks
from img.oci.spec import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD

KINDS = {"uncompressed": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "estargz": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
"""Kinds of compression with the media type of a layer."""
LEVELS = {"gzip": (0, 9), "estargz": (0, 9), "zstd": (1, 22)}


class Packing(NamedTuple):
    """A compression with its level, and whether times are clamped. Two that are equal give the same bytes."""

    kind: str = "gzip"
    level: int = LEVEL
    epoch: int | None = None
    """Unix time that no file of the layer may be younger than; None leaves times alone."""

    def __str__(self) -> str:
        level = f"-{self.level}" if self.kind in LEVELS else ""
        return f"{self.kind}{level}" + (f"@{self.epoch}" if self.epoch is not None else "")

    @property
    def media_type(self) -> str:
        return KINDS[self.kind]

    @classmethod
    def parse(cls, kind: str, level: str = "") -> Packing:
        """From the attributes ``compression`` and ``compression-level``. Raises `UsageError`."""
        if kind not in KINDS:
            raise UsageError(f"there is no compression {kind!r}", hint=f"one of {', '.join(KINDS)}")
        if kind not in LEVELS:
            if level:
                raise UsageError(f"compression={kind} has no level", hint="leave out compression-level")
            return cls(kind, 0)
        low, high = LEVELS[kind]
        number = int(level) if level.isascii() and level.isdigit() else None
        if level and (number is None or not low <= number <= high):
            raise UsageError(f"compression-level={level} is not a level of {kind}", hint=f"{low} to {high}")
        default = ZSTD_LEVEL if kind == "zstd" else LEVEL
        return cls(kind, default if number is None else number)


def packed(plain: Iterable[bytes], packing: Packing, threads: int = THREADS) -> Iterator[bytes]:
    """`plain` compressed; not for eStargz, which is another tar (`img.oci.estargz`)."""
    if packing.kind == "gzip":
        yield from gzip_chunks(plain, threads, packing.level)
    elif packing.kind == "zstd":
        yield from zstd_chunks(plain, threads, packing.level)
    else:
        yield from plain
