"""Named contexts of every kind, as frontends ask for them, and image layouts among them."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest
from tests.peers import bases, repositories
from tests.peers.web import UNIX, Web
from tests.unit.sources.opening import DOCKERFILE

from img.contexts.named import normal
from img.errors import ImgError, SourceError, UsageError
from img.ir.nodes import Source
from img.plan import Answers
from img.ports import BaseImage
from img.session import Request, Session


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
