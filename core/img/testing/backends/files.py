"""Steps that are about files only."""

from __future__ import annotations

import io
import tarfile

import pytest

from img.errors import ImgError
from img.ir.nodes import Copy, Diff, Link, Merge, Mkdir, Remove, Scratch, Source, Write
from img.testing.backends.bench import BASE, Bench, sh

ODD = ("white space", "new\nline", "back\\slash", "-dash", "ünïcode", "x" * 200)


class FileCases:
    """Copy, Mkdir, Write, Link, Remove, Merge, Diff."""

    def test_a_folder_is_copied_as_it_is(self, bench: Bench) -> None:
        context = bench.context("plain")
        (context / "sub").mkdir(mode=0o750)
        (context / "sub" / "tool").write_bytes(b"#!/bin/sh\n")
        (context / "sub" / "tool").chmod(0o4755)
        (context / "sub" / "tool").touch()
        (context / "link").symlink_to("sub/tool")
        (context / "dangling").symlink_to("/no/where")
        for name in ODD:
            (context / name).write_text(name)
        made = bench.made(Copy(BASE, Source("local", "plain"), (".",), "/srv/"))
        assert (made["/srv/sub"].kind, made["/srv/sub"].mode) == ("dir", 0o750)
        assert made["/srv/sub/tool"][:5] == ("file", 0o4755, 0, 0, b"#!/bin/sh\n")
        assert made["/srv/link"].target == "sub/tool"
        assert made["/srv/dangling"].target == "/no/where"
        assert {name: made[f"/srv/{name}"].data.decode() for name in ODD} == {name: name for name in ODD}

    def test_owner_and_mode_of_a_copy(self, bench: Bench) -> None:
        (bench.context("owned") / "file").write_text("x")
        source = Source("local", "owned")
        named = bench.made(Copy(BASE, source, ("file",), "/a/b/", owner="www:extra", mode="640"))
        assert named["/a/b/file"][1:4] == (0o640, 33, 44)
        numbers = bench.made(Copy(BASE, source, ("file",), "/a/b/", owner="70:4242"))
        assert numbers["/a/b/file"][2:4] == (70, 4242)

    def test_wildcards_and_what_is_left_out(self, bench: Bench) -> None:
        context = bench.context("several")
        for name in ("a.c", "b.c", "c.h", "d.c"):
            (context / name).write_text(name)
        made = bench.made(Copy(BASE, Source("local", "several"), ("*.c",), "/src/"))
        assert {path for path in made if path.startswith("/src/")} == {"/src/a.c", "/src/b.c", "/src/d.c"}
        below = Copy(BASE, Source("local", "several"), (".",), "/src/", excludes=("b*",))
        named = Copy(BASE, Source("local", "several"), ("*.c",), "/src/", excludes=("b*",))
        with bench.given("files.patterns", below) as able:
            if able:
                made = bench.made(below)
                assert {path for path in made if path.startswith("/src/")} == {"/src/a.c", "/src/c.h", "/src/d.c"}
                left = set() if "files.excludes.named" in bench.abilities else {"/src/b.c"}
                made = bench.made(named)
                assert {path for path in made if path.startswith("/src/")} == {"/src/a.c", "/src/d.c", *left}

    def test_files_of_another_step_keep_their_owners(self, bench: Bench) -> None:
        other = sh("mkdir /out && echo hi > /out/f && chown 33:44 /out/f && chmod 600 /out/f && ln -s f /out/l")
        made = bench.made(Copy(BASE, other, ("/out",), "/in", keep_owner=True))
        assert made["/in/f"][:5] == ("file", 0o600, 33, 44, b"hi\n")
        assert made["/in/l"].target == "f"

    def test_a_copy_of_what_is_not_there_fails(self, bench: Bench) -> None:
        bench.context("empty")
        with pytest.raises(ImgError, match="missing"):
            bench.build(Copy(BASE, Source("local", "empty"), ("missing",), "/"))

    def test_folders_and_written_files(self, bench: Bench) -> None:
        data = bytes(range(256))
        made = bench.made(Write(Mkdir(BASE, "/new/deep", 0o711, "www"), "/new/deep/f", data, 0o604, "33:extra"))
        assert made["/new"].kind == "dir"
        assert made["/new/deep"][:3] == ("dir", 0o711, 33)
        assert made["/new/deep/f"][:5] == ("file", 0o604, 33, 44, data)

    def test_a_link(self, bench: Bench) -> None:
        node = Link(BASE, "/opt/link", "../etc/passwd")
        with bench.given("files.link", node) as able:
            if able:
                made = bench.made(node)
                assert (made["/opt/link"].kind, made["/opt/link"].target) == ("symlink", "../etc/passwd")

    def test_removing(self, bench: Bench) -> None:
        full = sh("mkdir -p /gone/deep && touch /gone/deep/f /1.log /2.log /3.txt")
        node = Remove(Remove(full, "/gone"), "/*.log", wildcard=True)
        made = bench.made(node)
        assert "/3.txt" in made and not {"/gone", "/gone/deep", "/gone/deep/f", "/1.log", "/2.log"} & set(made)
        bench.build(Remove(BASE, "/never/was", missing_ok=True))
        if "files.remove.strict" in bench.abilities:
            with pytest.raises(ImgError, match="never"):
                bench.build(Remove(BASE, "/never/was"))

    def test_laying_over_each_other(self, bench: Bench) -> None:
        one = Write(Write(Scratch(), "/m/one", b"1"), "/m/both", b"lower")
        two = Write(Write(Scratch(), "/m/two", b"2"), "/m/both", b"upper")
        node = Merge((BASE, one, two))
        with bench.given("files.merge", node) as able:
            if able:
                made = bench.made(node)
                found = {path: made[path].data for path in ("/m/one", "/m/two", "/m/both")}
                assert found == {"/m/one": b"1", "/m/two": b"2", "/m/both": b"upper"}

    def test_a_difference(self, bench: Bench) -> None:
        lower = sh("echo 1 > /kept; echo 2 > /changed; echo 3 > /removed")
        upper = sh("echo more >> /changed; rm /removed; echo 4 > /new", lower)
        node = Merge((Write(BASE, "/other", b"o"), Diff(lower, upper)))
        with bench.given("files.diff", node) as able:
            if able:
                made = bench.made(node)
                assert made["/changed"].data == b"2\nmore\n" and made["/new"].data == b"4\n"
                assert "/other" in made and not {"/kept", "/removed"} & set(made)

    def test_unpacking_with_all_attributes(self, bench: Bench) -> None:
        (bench.context("packed") / "files.tar").write_bytes(_archive())
        made = bench.made(Copy(BASE, Source("local", "packed"), ("files.tar",), "/un/", unpack=True))
        assert made["/un/d"][:4] == ("dir", 0o1770, 5, 6)
        assert made["/un/d/f"][:5] == ("file", 0o4711, 7, 8, b"content")
        assert made["/un/d/f"].mtime == 1_000_000_000
        assert "xattrs" not in bench.abilities or made["/un/d/f"].xattrs["user.note"] == "value"
        assert made["/un/d/hard"].name == made["/un/d/f"].name or made["/un/d/hard"].data == b"content"
        assert made["/un/d/soft"].target == "f"
        assert made["/un/fifo"].kind == "fifo"


def _archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folder = tarfile.TarInfo("d")
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o1770, 5, 6
        archive.addfile(folder)
        file = tarfile.TarInfo("d/f")
        file.mode, file.uid, file.gid, file.size, file.mtime = 0o4711, 7, 8, 7, 1_000_000_000
        file.pax_headers = {"SCHILY.xattr.user.note": "value"}
        archive.addfile(file, io.BytesIO(b"content"))
        for name, kind, to in (("d/hard", tarfile.LNKTYPE, "d/f"), ("d/soft", tarfile.SYMTYPE, "f")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, to
            link.mode, link.uid, link.gid, link.mtime = file.mode, file.uid, file.gid, file.mtime  # as tar writes them
            archive.addfile(link)
        fifo = tarfile.TarInfo("fifo")
        fifo.type = tarfile.FIFOTYPE
        archive.addfile(fifo)
    return out.getvalue()
