"""Main and named contexts of every kind, opened by a session."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import bases, repositories
from tests.peers.web import UNIX, Web

from img.contexts.archive import is_tar
from img.contexts.main import Main
from img.contexts.named import normal
from img.errors import FileError, ImgError, SourceError, UsageError
from img.ir.nodes import Source
from img.oci.compress import _zstd
from img.plan import Answers
from img.ports import BaseImage
from img.session import Request, Session

DOCKERFILE = b"FROM scratch\nCOPY . /\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: bytes(_zstd().compress(data)),
}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store", {"path": "/usr/bin:/bin"}) as opened:
        yield opened


def opened(session: Session, context: object, stdin: bytes | None = None, **more: Any) -> Main:
    stream = None if stdin is None else io.BytesIO(stdin)
    return session._open(Request(context=str(context), stdin=stream, **more))


def seen(session: Session, context: object, stdin: bytes | None = None, **more: Any) -> dict[str, str]:
    """Path → kind of all that a build sees."""
    stream = None if stdin is None else io.BytesIO(stdin)
    listing = session.listing(Request(context=str(context), stdin=stream, **more))
    return {entry.path: entry.kind for entry in listing.entries()}


def member(name: str, kind: bytes, link: str = "", mode: int = 0o755) -> tuple[str, tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1000
    return name, info


# --- standard input ----------------------------------------------------------------------------------------------


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


# --- folders -----------------------------------------------------------------------------------------------------


def test_a_file_outside_of_the_context_brings_its_ignore_file(session: Session, tmp_path: Path) -> None:
    context, other = tmp_path / "c", tmp_path / "o"
    context.mkdir()
    other.mkdir()
    (other / "My").write_bytes(DOCKERFILE)
    for name in ("a", "b", ".dockerignore"):
        (context / name).write_text("b\n")
    main = opened(session, context, file=str(other / "My"))
    assert (main.options, "b" in seen(session, context, file=str(other / "My"))) == ({"path": ""}, False)
    (other / "My.dockerignore").write_text("a\n")
    main = opened(session, context, file=str(other / "My"))
    assert main.options["ignore"] == "a\n"
    assert set(seen(session, context, file=str(other / "My"))) == {"b", ".dockerignore"}
    definition = session.definition(Request(context=str(context), file=str(other / "My")))
    assert '"ignore": "a"' in json.dumps([node.document() for node in _sources(definition)])
    (other / "My.dockerignore").write_text("b\n")
    definition = session.definition(Request(context=str(context), file=str(other / "My")))
    assert '"ignore": "b"' in json.dumps([node.document() for node in _sources(definition)])


def _sources(definition: Any) -> list[Source]:
    from img.ir.walk import topological

    return [node for node in topological([t.root for t in definition.targets]) if isinstance(node, Source)]


@pytest.mark.parametrize("context", ["nowhere", "nowhere/", "Dockerfile", "ftp://x/y", "oci-layout://x"])
def test_what_is_no_context(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_bytes(DOCKERFILE)
    with pytest.raises(UsageError, match=f"the context {context} (does not exist|is not a folder)"):
        opened(session, context)


# --- URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", PACKERS)
def test_a_tar_behind_a_url(session: Session, web: Web, pack: str) -> None:
    data = PACKERS[pack](bases.tar([("Dockerfile", DOCKERFILE), ("a", b"1"), (".dockerignore", b"a\n")]))
    url = web.put("/c.tar", data)
    main = opened(session, url)
    assert (main.text, main.options) == (DOCKERFILE, {"path": "Dockerfile"})
    assert set(seen(session, url)) == {"Dockerfile", ".dockerignore"}
    assert Answers(session.engine).modified("context") == UNIX


def test_a_build_file_behind_a_url(session: Session, web: Web) -> None:
    url = web.put("/Dockerfile", DOCKERFILE)
    main = opened(session, url)
    assert (main.text, list(main.folder.iterdir())) == (DOCKERFILE, [])
    with pytest.raises(UsageError, match="nothing for -f x"):
        opened(session, url, file="x")
    with pytest.raises(UsageError, match="is gzip data, but no tar"):
        opened(session, web.put("/Dockerfile.gz", gzip.compress(DOCKERFILE * 100)))
    with pytest.raises(SourceError, match="answered 404"):
        opened(session, f"{web.url}/nope")


def test_a_build_file_behind_a_url_for_a_folder(session: Session, web: Web, tmp_path: Path) -> None:
    url = web.put("/Dockerfile", DOCKERFILE)
    main = opened(session, tmp_path, file=url)
    assert (main.text, main.folder, main.file) == (DOCKERFILE, tmp_path, url)


def test_a_hostile_tar_behind_a_url(session: Session, web: Web) -> None:
    with pytest.raises(UsageError, match=r"/c\.tar can't be unpacked: it holds '\.\./x'"):
        opened(session, web.put("/c.tar", bases.tar([("../x", b"")])))


def test_a_git_repository(session: Session, tmp_path: Path) -> None:
    base = tmp_path / "served"
    repositories.commit(base / "r.git", {"Dockerfile": "FROM scratch\n", "sub/Dockerfile": "FROM scratch AS sub\n"})
    repositories.git(base / "r.git", "checkout", "-q", "-b", "b")
    repositories.commit(base / "r.git", {"sub/new": "1", "sub/.dockerignore": "new\n"}, when=1234567890)
    repositories.git(base / "r.git", "checkout", "-q", "main")
    with repositories.daemon(base) as url:
        assert opened(session, f"{url}/r.git").text == b"FROM scratch\n"
        assert opened(session, f"{url}/r.git#:sub").text == b"FROM scratch AS sub\n"
        assert set(seen(session, f"{url}/r.git#b:sub")) == {"Dockerfile", ".dockerignore"}
        assert opened(session, f"{url}/r.git?branch=b&subdir=sub").file == "Dockerfile"
        assert Answers(session.engine).modified("context") == 1234567890
        assert opened(session, f"{url}/r.git", file="sub/Dockerfile").options["path"] == "sub/Dockerfile"
        assert opened(session, f"{url}/r.git", DOCKERFILE, file="-").text == DOCKERFILE
        kept = {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}
        assert (opened(session, f"{url}/r.git", args=kept).folder / ".git").is_dir()
        with pytest.raises(UsageError, match=r"there is no Nope in git://"):
            opened(session, f"{url}/r.git", file="Nope")


# --- named contexts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alpine", "alpine"),
        ("alpine:latest", "alpine"),
        ("docker.io/library/alpine", "alpine"),
        ("alpine:3", "alpine:3"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("src", "src"),
        ("My Files", "My Files"),
        ("alpine::linux/arm64", "alpine::linux/arm64"),
    ],
)
def test_names_of_contexts(name: str, found: str) -> None:
    assert normal(name) == found


def answers(session: Session, tmp_path: Path, contexts: dict[str, str]) -> Answers:
    (tmp_path / "main").mkdir(exist_ok=True)
    (tmp_path / "main" / "Dockerfile").write_bytes(DOCKERFILE)
    session._open(Request(context=str(tmp_path / "main"), contexts=contexts))
    return Answers(session.engine)


def test_a_named_folder(session: Session, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f").write_text("1")
    asked = answers(session, tmp_path, {"other": str(tmp_path / "other")})
    assert asked.named("other", "linux/amd64") == Source("local", "other")
    assert session.engine.context("other") == tmp_path / "other"
    assert asked.context_file("f", "other") == b"1"
    assert asked.modified("other") is None
    assert asked.named("nothing", "linux/amd64") is None
    with pytest.raises(UsageError, match="there is no context named 'nothing'"):
        asked.context_file("f", "nothing")


def test_a_named_folder_has_an_ignore_file_of_its_own(session: Session, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".dockerignore").write_text("a\n!a/b\n")
    asked = answers(session, tmp_path, {"other": str(tmp_path / "other")})
    assert asked.named("other", "linux/amd64") == Source("local", "other", (("ignore", "a\n!a/b"),))


def test_questions_about_named_contexts_are_repeated(session: Session, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    contexts = {"other": str(tmp_path / "other")}
    asked = answers(session, tmp_path, contexts)
    asked.named("other", "linux/amd64")
    asked.context_file("f", "other")
    asked.modified("other")
    again = answers(session, tmp_path, contexts)
    assert all(again.repeat(question) for question in asked.asked)
    (tmp_path / "other" / "f").write_text("new")
    assert [again.repeat(question) for question in asked.asked] == [True, False, True]


def test_named_urls(session: Session, tmp_path: Path, web: Web) -> None:
    tar = web.put("/c.tgz", gzip.compress(bases.tar([("a", b"1")])))
    packed = web.put("/c.gz", gzip.compress(b"3" * 1000))
    asked = answers(session, tmp_path, {"tar": tar, "file": web.put("/b.txt", b"2"), "packed": packed})
    for name, path in (("tar", "a"), ("file", "b.txt"), ("packed", "c.gz")):
        assert asked.named(name, "linux/amd64") == Source("local", name)
        assert [p.name for p in session.engine.context(name).iterdir()] == [path]
        assert asked.modified(name) == UNIX


def test_a_named_repository(session: Session, tmp_path: Path) -> None:
    base = tmp_path / "served"
    repositories.commit(base / "r.git", {"sub/f": "1"}, when=1234567890)
    with repositories.daemon(base) as url:
        asked = answers(session, tmp_path, {"src": f"{url}/r.git#main:sub"})
        assert asked.modified("src") == 1234567890
        assert asked.context_file("f", "src") == b"1"


def test_a_context_is_only_opened_when_asked_for(session: Session, tmp_path: Path) -> None:
    asked = answers(session, tmp_path, {"bad": str(tmp_path / "nowhere"), "gone": "http://127.0.0.1:1/x"})
    assert asked.named("other", "linux/amd64") is None
    with pytest.raises(UsageError, match="nowhere does not exist"):
        asked.named("bad", "linux/amd64")


@pytest.mark.parametrize(
    ("contexts", "words"), [({"context": "x"}, "can't be named 'context'"), ({"a": ""}, "no value")]
)
def test_wrong_named_contexts(session: Session, tmp_path: Path, contexts: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        answers(session, tmp_path, contexts)


# --- image layouts -----------------------------------------------------------------------------------------------


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return bases.layout(tmp_path / "layout", [bases.tar([("a", b"1")])], {"Env": ["A=b"]})


def packed(layout: Path, mode: str) -> Path:
    path = layout.with_name(f"layout.tar{mode}")
    with tarfile.open(path, f"w:{mode}") as archive:
        archive.add(layout, ".")
    return path


@pytest.mark.parametrize("form", ["folder", "", "gz", "xz"])
def test_a_named_layout(session: Session, tmp_path: Path, layout: Path, form: str) -> None:
    path = layout if form == "folder" else packed(layout, form)
    asked = answers(session, tmp_path, {"base": f"oci-layout://{path}"})
    found = asked.named("base", "linux/amd64")
    assert isinstance(found, BaseImage)
    assert (found.config["config"], found.layers) == ({"Env": ["A=b"]}, 1)
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    assert found.source == Source("oci-layout", f"{path}@{digest}", (("platform", "linux/amd64"),))
    plugin = session.engine.load("source", "oci-layout")
    assert plugin.pin(found.source).key == digest
    (layer,) = plugin.fetch(found.source).layers
    assert session.store.layers.known((layer,)) is None
    session.store.layers.blob((layer,))
    assert session.store.layers.known((layer,)) is not None
    with pytest.raises(UsageError, match="is an image, not a folder"):
        asked.context_file("a", "base")


def test_tags_and_digests_of_a_layout(session: Session, layout: Path) -> None:
    resolve = session.engine.load("source", "oci-layout").resolve
    index = json.loads((layout / "index.json").read_text())
    (one,) = index["manifests"]
    other = dict(one)
    one["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    other["annotations"] = {"org.opencontainers.image.ref.name": "docker.io/library/x:latest"}
    index["manifests"] = [one, other]
    (layout / "index.json").write_text(json.dumps(index))
    for ref in (f"{layout}:v1", f"{layout}", f"{layout}@{one['digest']}", f"{layout}:v1@{one['digest']}"):
        assert resolve(ref, "linux/amd64").source.ref == f"{layout}@{one['digest']}"
    with pytest.raises(SourceError, match="has no image tagged 'v2'") as caught:
        resolve(f"{layout}:v2", "linux/amd64")
    assert "v1" in caught.value.hint


@pytest.mark.parametrize("ref", ["{0}/nowhere", "{0}", "{0}/file", "{1}@sha256:" + "0" * 64, "{1}@sha256:12", ":v1"])
def test_wrong_layouts(session: Session, tmp_path: Path, layout: Path, ref: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImgError):
        session.engine.load("source", "oci-layout").resolve(ref.format(tmp_path, layout), "linux/amd64")


def test_a_layout_with_damaged_blobs(session: Session, layout: Path) -> None:
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    path = layout / "blobs" / "sha256" / digest[7:]
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"schemaVersiom"))
    with pytest.raises(ImgError, match=f"should be {digest}"):
        session.engine.load("source", "oci-layout").resolve(str(layout), "linux/amd64")


def test_a_layout_for_another_machine(session: Session, tmp_path: Path) -> None:
    other = bases.layout(tmp_path / "arm", [bases.tar([("a", b"1")])], {}, architecture="arm64")
    found = session.engine.load("source", "oci-layout").resolve(str(other), "linux/amd64")
    assert found.config["architecture"] == "arm64"  # the frontend tells it: InvalidBaseImagePlatform


# --- img context ls ----------------------------------------------------------------------------------------------


def test_why(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / "d").mkdir(parents=True)
    for name in ("a.md", "keep.md", "d/x", "d/y"):
        (folder / name).write_text("")
    (folder / ".dockerignore").write_text("# first\n*.md\n\n!keep.md\nd\n!d/x\n")
    listing = session.listing(Request(context=str(folder)))
    verdicts = {path: listing.why(path) for path in ("a.md", "keep.md", "d", "d/x", "d/y", "new.md", "e", "/d/../a.md")}
    lines = {path: (v.seen, v.rule.line if v.rule else 0, v.exists) for path, v in verdicts.items()}
    assert lines == {
        "a.md": (False, 2, True),
        "keep.md": (True, 4, True),
        "d": (True, 5, True),
        "d/x": (True, 6, True),
        "d/y": (False, 5, True),
        "new.md": (False, 2, False),
        "e": (False, 0, False),
        "/d/../a.md": (False, 2, True),
    }
    assert verdicts["d"].through
    assert [entry.path for entry in listing.entries()] == [".dockerignore", "d", "d/x", "keep.md"]
