"""Sources in a graph: what ADD of a URL and of a repository becomes, built and cached."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.peers import bases, repositories
from tests.peers.web import UNIX, Web

from img.digest import sha256
from img.errors import Place, SourceError
from img.events import Event, StepStarted
from img.ir.definition import Definition, Target
from img.ir.nodes import Copy, Scratch, Source
from img.ir.values import Notes
from img.session import Options, Session


class Seen:
    """A reporter that keeps the titles of steps that ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self.ran.append(event.title)

    def close(self) -> None:
        """Nothing to do."""


def build(tmp_path: Path, source: Source, path: str, dest: str) -> tuple[list[str], dict[str, tarfile.TarInfo]]:
    """Steps that ran, and the members of the result."""
    node = Copy(Scratch(), source, (path,), dest, literal=True, notes=Notes(title="ADD"))
    definition = Definition((Target(node, {}, "linux/amd64", (node.digest,), 0),))
    seen, out = Seen(), tmp_path / "out.tar"
    with Session(tmp_path / "store", {"path": "/usr/bin:/bin"}) as session:
        session.build_definition(definition, Options(outputs=({"type": "tar", "dest": str(out)},)), {}, [seen])
    with tarfile.open(out) as archive:
        return seen.ran, {member.name: member for member in archive}


def test_a_url(tmp_path: Path, web: Web) -> None:
    source = Source("http", web.put("/dir/a.txt", b"1"))
    ran, members = build(tmp_path, source, "a.txt", "/in/")
    file = members["in/a.txt"]
    assert (ran, file.mode, file.uid, int(file.mtime)) == (["ADD"], 0o600, 0, UNIX)
    assert build(tmp_path, source, "a.txt", "/in/")[0] == []
    web.put("/dir/a.txt", b"2")
    assert build(tmp_path, source, "a.txt", "/in/")[0] == ["ADD"]


def test_a_url_with_a_checksum_is_cached_without_a_network(tmp_path: Path, web: Web) -> None:
    source = Source("http", web.put("/a", b"1"), (("checksum", sha256(b"1")),))
    assert build(tmp_path, source, "a", "/")[0] == ["ADD"]
    web.files.clear()
    assert build(tmp_path, source, "a", "/")[0] == []


def test_a_url_that_is_gone(tmp_path: Path, web: Web) -> None:
    place = Place("Dockerfile", 2)
    with pytest.raises(SourceError, match="answered 404") as caught:
        build(tmp_path, Source("http", f"{web.url}/a", notes=Notes(place=place)), "a", "/")
    assert caught.value.place == place


def test_a_repository(tmp_path: Path) -> None:
    base = tmp_path / "served"
    repositories.commit(base / "r.git", {"a": "1", "sub/b": "2"})
    with repositories.daemon(base) as url:
        source = Source("git", f"{url}/r.git", (("ref", "main"),))
        ran, members = build(tmp_path, source, "/", "/src/")
        assert (ran, set(members) - {"src"}) == (["ADD"], {"src/a", "src/sub", "src/sub/b"})
        assert {int(member.mtime) for name, member in members.items() if name != "src"} == {repositories.WHEN}
        assert build(tmp_path, source, "/", "/src/")[0] == []
        repositories.commit(base / "r.git", {"a": "2"})
        assert build(tmp_path, source, "/", "/src/")[0] == ["ADD"]


def test_an_image_of_a_layout(tmp_path: Path) -> None:
    layout = bases.layout(tmp_path / "layout", [bases.tar([("a", b"1"), ("d", None)])], {})
    with Session(tmp_path / "store") as session:
        found = session.engine.load("source", "oci-layout").resolve(str(layout), "linux/amd64")
    ran, members = build(tmp_path, found.source, "a", "/b")
    assert (ran, list(members)) == (["ADD"], ["b"])
    assert build(tmp_path, found.source, "a", "/b")[0] == []
