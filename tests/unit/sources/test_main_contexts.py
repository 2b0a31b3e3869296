"""The main context as a folder, behind a URL or in a git repository, opened by a session."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.peers import bases, repositories
from tests.peers.web import UNIX, Web
from tests.unit.sources.opening import DOCKERFILE, PACKERS, opened, seen

from img.errors import SourceError, UsageError
from img.ir.nodes import Source
from img.plan import Answers
from img.session import Request, Session


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
