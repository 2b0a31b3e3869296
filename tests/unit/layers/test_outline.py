"""An outline says what the trees say: of random stacks of layers, told by their tables of contents."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from img.digest import sha256
from img.errors import FileError, LayerError
from img.files.entry import Entry
from img.files.jobs import write_outline
from img.files.listing import write_listing
from img.files.outline import Outline, view_of
from img.files.view import View
from img.oci.apply import apply_tar
from img.oci.estargz import TOC_DIGEST, Estargz
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.oci.tar import TarWriter
from img.oci.toc import read_toc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="trees belong to root, as in the sandbox")

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.sampled_from(["a", "b", "/c", "../b", "a/b", ".", "nowhere"])
SECOND = 1_000_000_000


@st.composite
def members(draw: st.DrawFn) -> Entry:
    path = draw(PATHS)
    head, _, name = path.rpartition("/")
    kind = draw(st.sampled_from(["dir", "dir", "dir", "file", "symlink", "hardlink", "whiteout", "opaque"]))
    if kind == "whiteout":
        return Entry(f"{head}/.wh.{name}".lstrip("/"), "file")
    if kind == "opaque":
        return Entry(f"{path}/.wh..wh..opq", "file")
    if kind == "symlink":
        return Entry(path, "symlink", 0o777, link=draw(TARGETS), mtime=SECOND * draw(st.integers(0, 9)))
    if kind == "hardlink":
        return Entry(path, "hardlink", link=draw(PATHS))
    mode, uid = draw(st.sampled_from([0o755, 0o700, 0o1777])), draw(st.integers(0, 3))
    return Entry(path, "dir" if kind == "dir" else "file", mode, uid, uid, mtime=SECOND * draw(st.integers(0, 9)))


LAYERS = st.lists(st.lists(members(), min_size=1, max_size=6), min_size=1, max_size=3)


def tar_of(entries: list[Entry]) -> bytes:
    out = BytesIO()
    writer = TarWriter(out.write)
    for entry in entries:
        writer.add(entry)
    writer.close()
    return out.getvalue()


def toc_of(tar: bytes) -> list[Entry]:
    made = Estargz([tar], threads=1)
    blob = b"".join(made)
    descriptor = Descriptor(OCI_LAYER_GZIP, sha256(blob), len(blob), None, {TOC_DIGEST: made.annotations[TOC_DIGEST]})
    return read_toc(descriptor, lambda at, end: BytesIO(blob[at:end]))


def seen(view: View) -> dict[str, tuple[object, ...]]:
    """What a COPY can learn of every path."""
    found: dict[str, tuple[object, ...]] = {}
    pending = [""]
    while pending:
        path = pending.pop()
        entry = view.lstat(path)
        assert entry is not None
        what: tuple[object, ...] = (entry.kind,)
        if entry.kind == "dir":
            what = (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, tuple(view.listdir(path)))
            pending += [f"{path}/{name}".lstrip("/") for name in view.listdir(path)]
        elif entry.kind == "symlink":
            what = (entry.kind, view.readlink(path), entry.mtime, _resolved(view, path))
        found[path] = what
    return found


def _resolved(view: View, path: str) -> str:
    try:
        return view.resolve(f"{path}/x")
    except FileError:
        return "a loop"


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(LAYERS)
def test_outlines_are_what_trees_are(layers: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trees: list[str] = []
        tables: list[str] = []
        listings: list[str] = []
        for number, layer in enumerate(layers):
            tar, tree = tar_of(layer), f"{folder}/{number}"
            os.mkdir(tree, 0o755)
            try:
                apply_tar(BytesIO(tar).read, tree, trees)
            except LayerError:
                assume(False)
            trees.append(tree)
            tables.append(f"{tree}.toc")
            write_listing(tables[-1], toc_of(tar))
            listings.append(f"{tree}.outline")
            write_outline(tree, listings[-1])
        right = seen(View(trees))
        assert isinstance(view_of(listings), Outline)
        assert seen(view_of(listings)) == right
        assert seen(view_of([*trees[:-1], listings[-1]])) == right
        assert seen(view_of(tables)) == right


def test_a_table_is_bounded_and_true(tmp_path: Path) -> None:
    made = Estargz([tar_of([Entry("a", "dir", 0o755)])], threads=1)
    blob = b"".join(made)
    digest = made.annotations[TOC_DIGEST]
    read = partial(read_toc, open_at=lambda at, end: BytesIO(blob[at:end]))
    right = Descriptor(OCI_LAYER_GZIP, sha256(blob), len(blob), None, {TOC_DIGEST: digest})
    assert [entry.path for entry in read(right)] == ["a"]
    for size, toc in ((len(blob), sha256(b"")), (len(blob) - 1, digest), (10, digest)):
        with pytest.raises(LayerError):
            read(Descriptor(OCI_LAYER_GZIP, sha256(blob), size, None, {TOC_DIGEST: toc}))
    name = "io.github.containers.zstd-chunked.manifest"
    for position in ("1:2:3:2", "1:2", f"0:{1 << 40}:1:1", "a:1:1:1", "-1:1:1:1"):
        notes = {f"{name}-position": position, f"{name}-checksum": digest}
        with pytest.raises(LayerError):
            read(Descriptor(OCI_LAYER_GZIP, sha256(blob), len(blob), None, notes))
