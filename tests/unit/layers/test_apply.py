"""The applier: what a layer may do, and what it may not."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from img.errors import LayerError
from img.files.entry import Entry, listing_digest
from img.files.trees import scan
from img.files.view import View
from img.files.xattrs import OPAQUE
from img.oci.apply import apply_tar
from img.oci.diff import digest_tree, make_tree, tar_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes")


def tar(*members: tuple[str, bytes, str | bytes]) -> io.BytesIO:
    """(name, type, link or content) of each member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, extra in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            info.uid, info.gid = os.geteuid(), os.getegid()
            if isinstance(extra, bytes):
                info.size = len(extra)
                archive.addfile(info, io.BytesIO(extra))
            else:
                info.linkname = extra
                archive.addfile(info)
    return io.BytesIO(out.getvalue())


FILE, DIR, SYM, HARD, CHR = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a file beside it that must never change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("precious")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def safe(root: Path) -> bool:
    outside = root.parent / "outside"
    return [p.name for p in outside.iterdir()] == ["precious"] and (outside / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    "members",
    [
        [("../outside/new", FILE, b"x")],
        [("a/../../outside/new", FILE, b"x")],
        [("hard", HARD, "../outside/precious")],
        [("d/.wh...", FILE, b"")],
        [(".wh.", FILE, b"")],
        [("f", FILE, b"x"), ("f/below", FILE, b"x")],
        [("loop", SYM, "loop"), ("loop/x", FILE, b"x")],
        [("hard", HARD, "nothing")],
    ],
)
def test_refused(root: Path, members: list[tuple[str, bytes, str | bytes]]) -> None:
    with pytest.raises(LayerError):
        apply_tar(tar(*members).read, str(root))
    assert safe(root)


@pytest.mark.parametrize(
    "members",
    [
        [("out", SYM, "../outside"), ("out/precious", FILE, b"x")],
        [("out", SYM, "/../../outside"), ("out/precious", FILE, b"x")],
        [("a", DIR, b""), ("a/out", SYM, "../../outside"), ("a/out/precious", FILE, b"x")],
        [("/abs/file", FILE, b"x")],
        [("out", SYM, "../outside"), ("out", FILE, b"x")],
        [("out", SYM, "../outside"), (".wh.out", FILE, b"")],
        [("out", SYM, "../outside"), ("out/.wh.precious", FILE, b"")],
        [("out", SYM, "../outside"), ("out/.wh..wh..opq", FILE, b"")],
    ],
)
def test_held_inside(root: Path, members: list[tuple[str, bytes, str | bytes]]) -> None:
    apply_tar(tar(*members).read, str(root))
    assert safe(root)


@needs_root
def test_whiteouts_become_overlays_own(root: Path) -> None:
    apply_tar(tar(("d", DIR, b""), ("d/.wh.gone", FILE, b""), ("d/.wh..wh..opq", FILE, b"")).read, str(root))
    status = os.lstat(root / "d" / "gone")
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert os.getxattr(root / "d", OPAQUE) == b"y"


@needs_root
def test_attributes_of_overlay_in_a_layer_mean_nothing(root: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("d")
        info.type = DIR
        info.pax_headers = {"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.kept": "v"}
        archive.addfile(info)
    apply_tar(io.BytesIO(out.getvalue()).read, str(root))
    assert os.listxattr(root / "d") == ["user.kept"]


@needs_root
def test_a_device_0_0_is_refused(root: Path) -> None:
    with pytest.raises(LayerError, match="0:0"):
        apply_tar(tar(("x", CHR, "")).read, str(root))


def test_later_entries_replace_earlier_ones(root: Path) -> None:
    members = [("x", DIR, b""), ("x/y", FILE, b"1"), ("x", FILE, b"2"), ("z", SYM, "x"), ("z", DIR, b"")]
    apply_tar(tar(*members).read, str(root))
    assert (root / "x").read_bytes() == b"2"
    assert (root / "z").is_dir()
    assert not (root / "z").is_symlink()


@needs_root
def test_parents_come_from_the_layer_below(root: Path, tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    (lower / "app").mkdir(parents=True)
    os.chown(lower / "app", 5, 6)
    os.chmod(lower / "app", 0o700)
    (lower / "lib").symlink_to("app")
    (lower / "app" / "f").write_text("below")
    found = apply_tar(
        tar(("app/new", FILE, b"x"), ("lib/other", FILE, b"y"), ("app/hard", HARD, "app/f")).read,
        str(root),
        [str(lower)],
    )
    assert found["used_lower"]
    status = os.stat(root / "app")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (5, 6, 0o700)
    assert (root / "app" / "other").read_text() == "y"
    assert not (root / "lib").exists()
    assert (root / "app" / "hard").read_text() == "below"


@needs_root
def test_a_layer_survives_the_round_trip(root: Path, tmp_path: Path) -> None:
    """tree → tar → tree → tar: the same bytes and the same content digest."""
    (root / "d").mkdir()
    (root / "d" / "f").write_text("f")
    os.chown(root / "d" / "f", 1000, 70000)
    os.chmod(root / "d" / "f", 0o6755)
    os.setxattr(root / "d" / "f", "user.x", b"\0\xff")
    os.link(root / "d" / "f", root / "d" / "again")
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "gone", stat.S_IFCHR, 0)
    os.setxattr(root / "d", OPAQUE, b"y")
    (root / os.fsdecode(b"\xff\xfe")).symlink_to("nowhere")

    def packed(tree: Path) -> bytes:
        out = tmp_path / "out.tar"
        with out.open("wb") as stream:
            tar_tree(str(tree), fds=[stream.fileno()])
        return out.read_bytes()

    first = packed(root)
    second = tmp_path / "second"
    second.mkdir()
    apply_tar(io.BytesIO(first).read, str(second))
    assert packed(second) == first
    assert digest_tree(str(second))["id"] == digest_tree(str(root))["id"] == listing_digest(scan(str(root)))


@needs_root
def test_a_listing_makes_the_tree_it_was_taken_from(root: Path, tmp_path: Path) -> None:
    from img.files.listing import read_listing, write_listing

    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"x" * 100_000)
    os.link(root / "d" / "f", root / "d" / "g")
    entries = list(scan(str(root)))
    write_listing(tmp_path / "listing", entries)
    assert list(read_listing(tmp_path / "listing")) == entries
    copy = tmp_path / "copy"
    copy.mkdir()
    make_tree(str(tmp_path / "listing"), str(copy))
    assert digest_tree(str(copy))["id"] == listing_digest(entries)
    assert os.stat(copy / "d" / "f").st_ino == os.stat(copy / "d" / "g").st_ino


def test_a_file_that_changed_since_it_was_listed(root: Path, tmp_path: Path) -> None:
    from img.errors import FileError
    from img.files.listing import write_listing

    (root / "f").write_text("before")
    write_listing(tmp_path / "listing", scan(str(root)))
    (root / "f").write_text("after!")
    (tmp_path / "copy").mkdir()
    with pytest.raises(FileError, match="changed during the build"):
        make_tree(str(tmp_path / "listing"), str(tmp_path / "copy"))


@needs_root
def test_the_view_hides_what_is_hidden(tmp_path: Path) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    for tree in (low, high):
        (tree / "d").mkdir(parents=True)
    (low / "gone").write_text("x")
    (low / "d" / "below").write_text("x")
    (low / "kept").write_text("x")
    (high / "d" / "new").write_text("x")
    os.mknod(high / "gone", stat.S_IFCHR, 0)
    os.setxattr(high / "d", OPAQUE, b"y")
    view = View([str(low), str(high)])
    assert view.listdir("") == ["d", "kept"]
    assert view.listdir("d") == ["new"]
    assert view.lstat("gone") is None
    assert view.lstat("d/below") is None
    assert view.resolve("../../kept") == "kept"


def test_the_view_follows_links_inside(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "abs").symlink_to("/usr")
    (tmp_path / "up").symlink_to("../../../etc")
    view = View([str(tmp_path)])
    assert view.resolve("bin/sh") == "usr/bin/sh"
    assert view.resolve("abs/bin") == "usr/bin"
    assert view.resolve("up/passwd") == "etc/passwd"
    assert view.resolve("bin", final=False) == "bin"


def test_entries_without_content_are_no_dirs() -> None:
    assert Entry("x", "file").size == 0


def test_folders_that_a_layer_does_not_hold_have_no_time_of_their_own(tmp_path: Path) -> None:
    """A COPY onto them takes their time into its layer: it must not be that of unpacking."""
    apply_tar(tar(("a/b/file", FILE, b"1")).read, os.fspath(tmp_path))
    assert [os.stat(tmp_path / path).st_mtime_ns for path in ("", "a", "a/b")] == [0, 0, 0]


@needs_root
def test_a_folder_that_was_removed_and_filled_again_is_new(tmp_path: Path) -> None:
    """Wherever the whiteout stands in the tar."""
    for number, members in enumerate(
        [(("a/.x", FILE, b""), (".wh.a", FILE, b"")), ((".wh.a", FILE, b""), ("a/.x", FILE, b""))]
    ):
        lower, upper = tmp_path / f"lower{number}", tmp_path / f"upper{number}"
        for folder in (lower, upper):
            folder.mkdir()
        apply_tar(tar(("a/old", FILE, b"")).read, os.fspath(lower))
        apply_tar(tar(*members).read, os.fspath(upper), [os.fspath(lower)])
        assert View([os.fspath(lower), os.fspath(upper)]).listdir("a") == [".x"]
