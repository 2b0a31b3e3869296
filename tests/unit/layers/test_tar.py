"""The writer and reader against each other, tarfile and GNU tar."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img.errors import LayerError
from img.files.entry import Entry
from img.oci.tar import TarWriter
from img.oci.untar import read_tar

parts = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)
odd = st.binary(min_size=1, max_size=30).map(lambda b: os.fsdecode(b.replace(b"/", b"_").replace(b"\0", b"_")))
names = (
    st.lists(parts | odd, min_size=1, max_size=6)
    .map("/".join)
    .filter(
        lambda path: (
            len(os.fsencode(path)) < 1000 and not {".", ".."} & set(path.split("/")) and "/.wh." not in f"/{path}"
        )
    )
)
xattrs = st.lists(
    st.tuples(st.sampled_from(["user.a", "user.b"]), st.binary(max_size=50)), max_size=2, unique_by=lambda x: x[0]
)
ids = st.integers(0, 2**32)
entries = st.builds(
    lambda path, kind, mode, uid, gid, mtime, link, attributes, data: (
        Entry(
            path,
            kind,
            mode,
            uid,
            gid,
            len(data) if kind == "file" else 0,
            mtime * 10**9,
            link if kind in ("symlink", "hardlink") else "",
            (3, 70000 % 4096) if kind in ("char", "block") else (0, 0),
            tuple(sorted(attributes)),
        ),
        data if kind == "file" else b"",
    ),
    names,
    st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]),
    st.integers(0, 0o7777),
    ids,
    ids,
    st.integers(0, 2**35),
    names,
    xattrs,
    st.binary(max_size=2000),
)


def written(items: list[tuple[Entry, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = TarWriter(out.write)
    for entry, data in items:
        writer.add(entry, [data])
    writer.close()
    return out.getvalue()


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    return [(entry, b"".join(content.chunks())) for entry, content in read_tar(io.BytesIO(data).read)]


@given(st.lists(entries, max_size=5))
def test_what_is_written_reads_back(items: list[tuple[Entry, bytes]]) -> None:
    again = [(entry._replace(path=entry.path.rstrip("/")), data) for entry, data in read(written(items))]
    assert again == [(entry._replace(path=entry.path.rstrip("/")), data) for entry, data in items]
    assert written(again) == written(items)


@given(st.lists(entries, max_size=4))
def test_tarfile_reads_the_same(items: list[tuple[Entry, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(items)), errors="surrogateescape") as archive:
        members = archive.getmembers()
        assert [m.name.strip("/") for m in members] == [entry.path.strip("/") for entry, _ in items]
        for member, (entry, data) in zip(members, items, strict=True):
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert member.mtime == entry.mtime // 10**9
            if entry.kind == "file":
                stream = archive.extractfile(member)
                assert stream is not None
                assert stream.read() == data


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tarfiles_archives_are_read(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in ("short", "d/" + "x" * 90, "deep/" * 20 + "f"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"hello"))
    assert [(e.path, data) for e, data in read(out.getvalue())] == [
        ("short", b"hello"),
        ("d/" + "x" * 90, b"hello"),
        ("deep/" * 20 + "f", b"hello"),
    ]


@pytest.mark.parametrize(
    "form", ["gnu", "pax", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix --sparse-version=1.0"]
)
def test_sparse_files_of_gnu_tar(tmp_path: Path, form: str) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as out:
        for number in range(30):
            out.seek(number * 100_000)
            out.write(b"data%d" % number)
        out.truncate(4_000_000)
    kind, *extra = form.split()
    argv = ["tar", "--sparse", f"--format={kind}", *extra, "-C", str(tmp_path), "-cf", "-", "holes"]
    data = subprocess.run(argv, capture_output=True, check=True).stdout
    assert len(data) < 1_000_000
    ((entry, content),) = read(data)
    assert entry.path == "holes"
    assert content == path.read_bytes()


def test_gnu_tar_accepts_and_agrees(tmp_path: Path) -> None:
    from img.oci.diff import tar_tree

    source = tmp_path / "source"
    (source / ("n" * 120)).mkdir(parents=True)
    (source / ("n" * 120) / ("m" * 200)).write_text("long")
    (source / "link").symlink_to("x" * 150)
    os.link(source / ("n" * 120) / ("m" * 200), source / "hard")
    os.chmod(source, 0o755)
    archive = tmp_path / "a.tar"
    with archive.open("wb") as out:
        tar_tree(str(source), fds=[out.fileno()])
    done = subprocess.run(
        ["tar", "-C", source, "--compare", "-f", archive], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""


def good() -> bytes:
    return written([(Entry("a", "file", size=700), bytes(700)), (Entry("b", "dir"), b"")])


@pytest.mark.parametrize("cut", [100, 600, 1100])
def test_a_truncated_tar(cut: int) -> None:
    with pytest.raises(LayerError, match="ends in the middle"):
        read(good()[:cut])


def test_a_damaged_header() -> None:
    data = bytearray(good())
    data[3] ^= 1
    with pytest.raises(LayerError, match="byte 0: its checksum is wrong"):
        read(bytes(data))


@given(st.binary(max_size=2048))
def test_noise_is_only_ever_a_layer_error(noise: bytes) -> None:
    try:
        read(noise)
    except LayerError:
        pass


@given(st.integers(0, 1535), st.integers(0, 255))
def test_one_changed_byte_is_only_ever_a_layer_error(at: int, value: int) -> None:
    data = bytearray(written([(Entry("n" * 150, "file", size=3, xattrs=(("user.a", b"v"),)), b"abc")]))
    data[at] = value
    try:
        read(bytes(data))
    except LayerError:
        pass


def test_a_huge_pax_header_is_refused() -> None:
    from img.oci.tar import _ustar

    head = _ustar(b"x", 0o644, 0, 0, 1 << 30, 0, b"x", b"", 0, 0, b"")
    with pytest.raises(LayerError, match="are allowed"):
        read(head + bytes(4096))


@pytest.mark.parametrize("kind", [tarfile.XGLTYPE, tarfile.XHDTYPE])
def test_headers_do_not_add_up_without_end(kind: bytes) -> None:
    """Many small headers before one member, each with another key, are an error, not memory."""

    def stream() -> Iterator[bytes]:
        for number in range(2_000):
            record = f"30 k{number:07}=".encode().ljust(29, b"v") + b"\n"
            info = tarfile.TarInfo("x")
            info.type, info.size = kind, len(record)
            yield info.tobuf(tarfile.USTAR_FORMAT)
            yield record + bytes(512 - len(record))

    data = io.BytesIO(b"".join(stream()))
    with pytest.raises(LayerError, match="too many, or too long"):
        list(read_tar(data.read))
