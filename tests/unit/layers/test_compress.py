"""Compression: the same bytes for any threads and cuts, readable by everybody, errors for damage."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.peers.packing import PACKING

from img.errors import LayerError
from img.oci.compress import Hashing, decompressed, gzip_chunks, zstd_chunks

BLOB = bytes(range(256)) * 20_000


@settings(deadline=None, max_examples=20)
@given(st.binary(max_size=5000), st.integers(1, 997), st.integers(1, 4))
def test_gzip_is_the_same_however_it_is_made(data: bytes, cut: int, threads: int) -> None:
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    packed = b"".join(gzip_chunks(pieces, threads))
    assert packed == b"".join(gzip_chunks([data], 1))
    assert gzip.decompress(packed) == data


def test_several_blocks() -> None:
    packed = b"".join(gzip_chunks([BLOB]))
    assert gzip.decompress(packed) == BLOB
    assert len(packed) < len(BLOB) // 50


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: data], ids=["gzip", "bzip2", "xz", "plain"]
)
@pytest.mark.parametrize("cut", [1000, 1 << 20])
def test_everything_is_unpacked(pack, cut: int) -> None:  # type: ignore[no-untyped-def]
    packed = pack(BLOB)
    assert b"".join(decompressed([packed[at : at + cut] for at in range(0, len(packed), cut)])) == BLOB


def test_zstd() -> None:
    from backports import zstd

    packed = zstd.compress(BLOB)
    assert b"".join(decompressed([packed[:7], packed[7:]])) == BLOB


def test_several_gzip_members_are_one_stream() -> None:
    assert b"".join(decompressed([gzip.compress(b"one") + gzip.compress(b"two")])) == b"onetwo"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_damage_is_a_layer_error(pack) -> None:  # type: ignore[no-untyped-def]
    packed = pack(BLOB)
    with pytest.raises(LayerError):
        b"".join(decompressed([packed[: len(packed) // 2]]))
    broken = bytearray(packed)
    broken[len(broken) // 2] ^= 0xFF
    with pytest.raises(LayerError):
        b"".join(decompressed([bytes(broken)]))


def test_a_bomb_comes_out_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert max(map(len, decompressed([bomb]))) <= 1 << 20


def test_hashing_sees_everything() -> None:
    stream = Hashing([b"a", b"bc"])
    assert b"".join(stream) == b"abc"
    assert stream.size == 3
    assert stream.digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_memory_is_bounded() -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from img.oci.compress import gzip_chunks, decompressed\n"
        "count = sum(len(c) for c in decompressed(gzip_chunks(bytes(1 << 20) for _ in range(400))))\n"
        "assert count == 400 << 20\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", program, *sys.path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 1024


def test_every_process_packs_the_same_bytes() -> None:
    """Fresh memory is filled otherwise in each, so that a library that reads what it never wrote is found out."""

    def packed(fill: int) -> str:
        environ = {**os.environ, "MALLOC_PERTURB_": str(fill)}
        return subprocess.run([sys.executable, "-c", PACKING], env=environ, check=True, stdout=-1, text=True).stdout

    first, *rest = (packed(fill) for fill in (0, 1, 90, 255))
    assert len(first.splitlines()) == 10
    assert all(other == first for other in rest)


@pytest.mark.parametrize("cut", [1, 3, 7, 8, 9, 64, 1 << 20])
def test_members_frames_to_skip_and_what_follows(cut: int) -> None:
    """However the stream is cut: zstd:chunked layers end in frames that are no part of the tar."""
    frames = [b"".join(zstd_chunks([part])) for part in (b"one " * 500, b"two " * 500)]
    skipped = [
        struct.pack("<II", 0x184D2A50 + n, size) + bytes([n]) * size for n, size in ((0, 0), (3, 100), (15, 3000))
    ]
    for kind, stream in {
        "zstd": frames[0] + skipped[1] + frames[1] + skipped[0] + skipped[2],
        "bzip2": bz2.compress(b"one " * 500) + bz2.compress(b"two " * 500) + bytes(1000),
        "xz": lzma.compress(b"one " * 500) + lzma.compress(b"two " * 500) + b"behind it " * 100,
    }.items():
        pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)]
        assert b"".join(decompressed(pieces)) == b"one " * 500 + b"two " * 500, kind
    with pytest.raises(LayerError, match="middle"):
        list(decompressed([frames[0][:-3]]))
