"""The main context on standard input: a tar, however packed, or a build file; and tars that mean harm."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from tests.peers import bases
from tests.unit.sources.opening import DOCKERFILE, PACKERS, opened, seen

from img.contexts.archive import is_tar
from img.errors import FileError, UsageError
from img.session import Request, Session


def member(name: str, kind: bytes, link: str = "", mode: int = 0o755) -> tuple[str, tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1000
    return name, info


@pytest.mark.parametrize("pack", PACKERS)
def test_a_tar_on_standard_input(session: Session, pack: str) -> None:
    data = PACKERS[pack](
        bases.tar([("./Dockerfile", DOCKERFILE), ("./d", None), ("./d/f", b"x" * 100_000), ("l", "d/f")])
    )
    main = opened(session, "-", data)
    assert (main.text, main.file, main.options["path"]) == (DOCKERFILE, "Dockerfile", "Dockerfile")
    assert (main.folder / "d" / "f").stat().st_size == 100_000
    assert (main.folder / "l").readlink() == Path("d/f")
    assert session.engine.contexts["context"] == main.folder


def test_the_whole_of_standard_input_is_read(session: Session) -> None:
    stream = io.BytesIO(bases.tar([("Dockerfile", DOCKERFILE)]) + bytes(3 << 20))
    session._open(Request(context="-", stdin=stream))
    assert stream.read() == b""


def test_a_build_file_on_standard_input(session: Session) -> None:
    main = opened(session, "-", DOCKERFILE)
    assert (main.text, list(main.folder.iterdir())) == (DOCKERFILE, [])
    assert opened(session, "-", b"F").text == b"F"


def test_a_build_file_on_standard_input_for_a_folder(session: Session, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("not this one")
    main = opened(session, tmp_path, DOCKERFILE, file="-")
    assert (main.text, main.folder, main.options["path"]) == (DOCKERFILE, tmp_path, "")


def test_a_file_in_the_tar_by_name(session: Session) -> None:
    data = bases.tar([("d", None), ("d/Other", DOCKERFILE), ("d/Other.dockerignore", b"x\n"), ("x", b""), ("y", b"")])
    for name in ("d/Other", "./d/Other", "/d/Other"):
        main = opened(session, "-", data, file=name)
        assert (main.text, main.options["path"]) == (DOCKERFILE, "d/Other")
    assert "x" not in seen(session, "-", data, file="d/Other")


@pytest.mark.parametrize(
    ("stdin", "file", "words"),
    [
        (b"", "", "standard input is empty"),
        (gzip.compress(b"FROM scratch\n"), "", "gzip data, but no tar is in it"),
        (
            gzip.compress(bases.tar([("Dockerfile", b"x" * 5000)]))[:-30],
            "",
            "can't be unpacked: the gzip data is damaged",
        ),
        (bases.tar([("Dockerfile", b"x" * 5000)])[:2000], "", "can't be unpacked: the tar ends in the middle"),
        (b"x" * (4 << 20) + b"x", "", "more than the 4194304 bytes"),
        (DOCKERFILE, "Other", "-f names another, Other"),
        (DOCKERFILE, "-", "both the context and the build file"),
        (bases.tar([("Dockerfile", DOCKERFILE)]), "Other", "there is no Other in standard input"),
        (bases.tar([("My.Dockerfile", DOCKERFILE)]), "", "there is no Dockerfile in standard input"),
        (bytes(1024), "", "there is no Dockerfile in standard input"),
        (bases.tar([("../x", b"")]), "", r"it holds '\.\./x', which lies outside of it"),
        (bases.tar([("a/../../x", b"")]), "", "which lies outside of it"),
        (bases.tar([member("h", tarfile.LNKTYPE, "../../etc/passwd")]), "", "lies outside"),
        (bases.tar([member("h", tarfile.LNKTYPE, "/etc/passwd")]), "", "hard link to /etc/passwd, which is not there"),
    ],
    ids=range(14),
)
def test_wrong_standard_input(session: Session, stdin: bytes, file: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        opened(session, "-", stdin, file=file)


def test_a_hostile_tar_stays_inside(session: Session, tmp_path: Path) -> None:
    """Links that lead out are followed inside; a folder that becomes a link passes no mode or time on."""
    victim = tmp_path / "victim"
    (victim / "inner").mkdir(parents=True)
    victim.chmod(0o755)
    (victim / "inner").chmod(0o755)
    before = [(path.stat().st_mode, path.stat().st_mtime_ns) for path in (victim, victim / "inner")]
    data = bases.tar(
        [
            ("Dockerfile", DOCKERFILE),
            member("out", tarfile.SYMTYPE, str(victim)),
            ("out/written", b"x"),
            ("/absolute", b"x"),
            member("a", tarfile.DIRTYPE, mode=0o700),
            member("a/inner", tarfile.DIRTYPE, mode=0o777),
            member("a", tarfile.SYMTYPE, str(victim)),
            member("up", tarfile.SYMTYPE, "../../../../../.."),
            ("up/also", b"x"),
            member(".wh.Dockerfile", tarfile.REGTYPE),
        ]
    )
    folder = opened(session, "-", data).folder
    assert sorted(path.name for path in victim.iterdir()) == ["inner"]
    assert [(path.stat().st_mode, path.stat().st_mtime_ns) for path in (victim, victim / "inner")] == before
    assert (folder / str(victim).lstrip("/") / "written").read_bytes() == b"x"
    assert {"absolute", "also", "a", ".wh.Dockerfile"} <= {path.name for path in folder.iterdir()}


def test_modes_times_and_hard_links_are_kept(session: Session) -> None:
    data = bases.tar(
        [
            ("Dockerfile", DOCKERFILE),
            member("closed", tarfile.DIRTYPE, mode=0o500),
            ("closed/f", b"x"),
            member("sticky", tarfile.DIRTYPE, mode=0o1777),
            member("h", tarfile.LNKTYPE, "closed/f"),
            member("p", tarfile.FIFOTYPE, mode=0o640),
        ]
    )
    folder = opened(session, "-", data).folder
    modes = {name: (folder / name).lstat().st_mode & 0o7777 for name in ("closed", "closed/f", "sticky", "p")}
    assert modes == {"closed": 0o500, "closed/f": 0o755, "sticky": 0o1777, "p": 0o640}
    assert (folder / "h").samefile(folder / "closed" / "f")
    assert {(folder / name).lstat().st_mtime for name in ("closed", "sticky", "p")} == {1000}
    assert {(folder / name).lstat().st_uid for name in ("closed", "closed/f", "p")} == {os.getuid()}


def test_an_absolute_link_to_the_build_file_starts_at_the_context(session: Session) -> None:
    data = bases.tar([("real", DOCKERFILE), member("Dockerfile", tarfile.SYMTYPE, "/real")])
    assert opened(session, "-", data).text == DOCKERFILE
    with pytest.raises(FileError, match="leads out of the context"):
        opened(session, "-", bases.tar([member("Dockerfile", tarfile.SYMTYPE, "/etc/passwd")]))


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"", False),
        (b"FROM x\n", False),
        (b"F" * 600, False),
        (bytes(512), True),
        (bases.tar([("a", b"")])[:512], True),
    ],
)
def test_telling_a_tar(head: bytes, found: bool) -> None:
    assert is_tar(head) is found


def test_a_tar_of_the_seventh_edition_is_one() -> None:
    block = bytearray(bases.tar([("a", b"")])[:512])
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert is_tar(bytes(block))
