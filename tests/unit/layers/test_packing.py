"""Kinds of compression: same bytes however they are made, eStargz by a reader of its own, times clamped."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from img.errors import LayerError, UsageError
from img.oci.compress import decompressed
from img.oci.estargz import CHUNK, TOC_DIGEST, UNCOMPRESSED_SIZE, Estargz
from img.oci.packing import Packing, packed
from img.oci.retell import clamped

RANDOM = random.Random(7)
DATA = b"".join(RANDOM.randbytes(200) * RANDOM.randint(1, 3000) for _ in range(40))[:9_000_000]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    "words", [("gzip", ""), ("gzip", "0"), ("gzip", "6"), ("gzip", "9"), ("zstd", ""), ("zstd", "9")]
)
def test_the_same_bytes_for_any_threads_and_cuts(words: tuple[str, str]) -> None:
    packing = Packing.parse(*words)
    found = {
        b"".join(packed(cut(DATA, size), packing, threads)) for size in (70_001, len(DATA)) for threads in (1, 2, 4)
    }
    (only,) = found
    assert b"".join(decompressed([only])) == DATA


def test_levels_differ_and_the_default_is_two() -> None:
    sizes = {level: sum(map(len, packed([DATA], Packing.parse("gzip", level)))) for level in ("", "2", "0", "9")}
    assert sizes[""] == sizes["2"]
    assert sizes["0"] > len(DATA)
    assert sizes["9"] < sizes["0"]


@pytest.mark.parametrize(
    ("kind", "level", "message"),
    [
        ("brotli", "", "there is no compression 'brotli'"),
        ("gzip", "10", "compression-level=10 is not a level of gzip"),
        ("zstd", "x", "compression-level=x is not a level of zstd"),
        ("zstd", "0", "compression-level=0 is not a level of zstd"),
        ("uncompressed", "1", "compression=uncompressed has no level"),
    ],
)
def test_bad_words(kind: str, level: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Packing.parse(kind, level)


# --- a tar with something of everything -------------------------------------------------------------------------------


def layer() -> tuple[bytes, dict[str, bytes]]:
    files = {
        "bin/small": b"hello",
        "empty": b"",
        "big": DATA[: CHUNK + 12345],
        "exact": DATA[:CHUNK],
        "n" * 150: b"long name",
        "dir/.wh.gone": b"",
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("bin", "dir"):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1_700_000_000
            archive.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime, info.uid = len(data), 0o4755, 1_600_000_000, 7
            info.pax_headers = {"SCHILY.xattr.user.k": "v"} if name == "bin/small" else {}
            archive.addfile(info, io.BytesIO(data))
        for name, kind, link in (("s", tarfile.SYMTYPE, "bin/small"), ("h", tarfile.LNKTYPE, "bin/small")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
    return out.getvalue(), files


def members(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """Every gzip member with its place."""
    at = 0
    while at < len(blob):
        unpacker = zlib.decompressobj(31)
        data = unpacker.decompress(blob[at:])
        assert unpacker.eof
        yield at, data
        at = len(blob) - len(unpacker.unused_data)


def toc_of(blob: bytes) -> tuple[int, dict[str, Any], bytes]:
    """By the footer alone, as a lazy reader finds it."""
    foot = blob[-51:]
    assert foot[:4] == b"\x1f\x8b\x08\x04"
    assert foot[10:16] == b"\x1a\x00SG\x16\x00"
    assert foot[32:38] == b"STARGZ"
    assert gzip.decompress(foot) == b""
    offset = int(foot[16:32], 16)
    unpacked = gzip.decompress(blob[offset:])
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        (info,) = archive.getmembers()
        assert info.name == "stargz.index.json"
        raw = archive.extractfile(info).read()  # type: ignore[union-attr]
    return offset, json.loads(raw), raw


def test_estargz_is_what_its_specification_says() -> None:
    plain, files = layer()
    made = Estargz(cut(plain, 100_003))
    blob = b"".join(made)
    offset, toc, raw = toc_of(blob)
    assert toc["version"] == 1
    assert made.annotations[TOC_DIGEST] == "sha256:" + hashlib.sha256(raw).hexdigest()
    everything = gzip.decompress(blob)
    assert made.annotations[UNCOMPRESSED_SIZE] == str(len(everything))
    assert made.diff_id == "sha256:" + hashlib.sha256(everything).hexdigest()

    starts = dict(members(blob))
    assert offset in starts
    contents: dict[str, bytes] = {}
    for row in toc["entries"]:
        if row["type"] in ("reg", "chunk") and row.get("size", 1):
            if row["type"] == "reg":
                assert "chunkOffset" not in row
                if "size" not in row:
                    continue
            data = starts[row["offset"]]
            assert row["chunkDigest"] == "sha256:" + hashlib.sha256(data).hexdigest()
            assert len(contents.get(row["name"], b"")) == row.get("chunkOffset", 0)
            assert row.get("chunkSize", 0) in (0, len(data))
            contents[row["name"]] = contents.get(row["name"], b"") + data
    assert contents.pop(".no.prefetch.landmark") == b"\x0f"
    assert contents == {name: data for name, data in files.items() if data}
    for row in toc["entries"]:
        if row["type"] == "reg" and row.get("size"):
            whole = files.get(row["name"], b"\x0f")
            assert row["size"] == len(whole)
            assert row["digest"] == "sha256:" + hashlib.sha256(whole).hexdigest()
    rows = {row["name"]: row for row in toc["entries"] if row["type"] != "chunk"}
    assert rows["bin/"]["type"] == "dir"
    assert rows["bin/"]["modtime"] == "2023-11-14T22:13:20Z"
    assert rows["s"]["linkName"] == rows["h"]["linkName"] == "bin/small"
    assert base64.b64decode(rows["bin/small"]["xattrs"]["user.k"]) == b"v"
    assert (rows["bin/small"]["mode"], rows["bin/small"]["uid"]) == (0o4755, 7)
    with tarfile.open(fileobj=io.BytesIO(everything)) as archive:
        names = archive.getnames()
    assert names[-1] == "stargz.index.json"
    assert [name.rstrip("/") for name in rows] == names[:-1]


def test_estargz_is_the_same_for_any_threads_and_of_itself() -> None:
    plain, _ = layer()
    blobs = {b"".join(Estargz(cut(plain, size), threads)) for size in (4096, 1 << 20) for threads in (1, 3)}
    (blob,) = blobs
    assert b"".join(Estargz([gzip.decompress(blob)])) == blob


def test_times_are_clamped_and_nothing_else_changes() -> None:
    plain, files = layer()
    out = b"".join(clamped(cut(plain, 999), 1_650_000_000))
    with tarfile.open(fileobj=io.BytesIO(plain)) as before, tarfile.open(fileobj=io.BytesIO(out)) as after:
        for old, new in zip(before.getmembers(), after.getmembers(), strict=True):
            assert (old.name, old.type, old.mode, old.uid, old.size, old.linkname) == (
                new.name,
                new.type,
                new.mode,
                new.uid,
                new.size,
                new.linkname,
            )
            assert new.mtime == min(old.mtime, 1_650_000_000)
            if new.isreg():
                assert after.extractfile(new).read() == files[new.name]  # type: ignore[union-attr]


@pytest.mark.parametrize("make", [lambda plain: Estargz([plain]), lambda plain: clamped([plain], 1)])
def test_a_cut_tar_is_an_error(make: Any) -> None:
    plain, _ = layer()
    with pytest.raises(LayerError):
        b"".join(make(plain[: len(plain) // 2]))
