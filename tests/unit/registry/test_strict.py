"""Every kind of strict registry: push, pull, verify, a base to build on, mounts, lists and remote caches; and what is said
where one of them can't be had."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.peers import bases
from tests.unit.registry import images

from img.errors import ImgError, NotFound, RegistryError
from img.images.verify import verify
from img.oci.spec import Descriptor
from img.request import Request
from img.session import Session
from img.testing.strict import KINDS, StrictRegistry, strict
from img_plugins.registry import upload
from img_plugins.registry.network import Patience


class Ground:
    """A registry, and sessions that know its password."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def registry(self, kind: str, **changed: Any) -> StrictRegistry:
        registry = self._stack.enter_context(strict(kind, **changed))
        registry.repositories |= {"app", "app/copy", "base", "cache"}
        auths = {"auths": {registry.host: {"username": "u", "password": "p"}}}
        (self.folder / "auth.json").write_text(json.dumps(auths))
        return registry

    def session(self, name: str) -> Session:
        session = Session(self.folder / name, {"auth_file": str(self.folder / "auth.json")})
        session.engine.load("registry", "distribution").network.patience = Patience(4, 0.001)
        return self._stack.enter_context(session)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with ExitStack() as stack:
        yield Ground(tmp_path, stack)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a").write_text("a")
    return folder


SIZES = (5, 300_000)


@pytest.mark.parametrize("kind", KINDS)
def test_images_go_and_come(ground: Ground, kind: str) -> None:
    registry = ground.registry(kind)
    one, two = ground.session("one"), ground.session("two")
    name = f"{registry.host}/app:1"
    made = images.index(one.store, images.image(one.store, 1, SIZES), images.image(one.store, 2, SIZES))
    one.store.images.set(name, made)
    assert one.push(name) == made.digest
    assert one.push(name) == made.digest
    assert two.pull(name, every=True).digest == made.digest
    moved = f"{registry.host}/app/copy:1"
    two.store.images.set(moved, made)
    assert two.push(moved) == made.digest
    assert registry.manifests["app/copy", "1"] == registry.manifests["app", "1"]
    client = one.engine.load("registry", "distribution")
    from img.oci.reference import Reference

    registry.page = 1
    for tag in ("2", "3"):
        one.store.images.set(f"{registry.host}/app:{tag}", made)
        one.push(f"{registry.host}/app:{tag}")
    assert client.reader(Reference.parse(name)).tags() == ["1", "2", "3"]


@pytest.mark.parametrize("kind", KINDS)
def test_builds_and_caches(ground: Ground, context: Path, kind: str) -> None:
    registry = ground.registry(kind)
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    (context / "base.tar").write_bytes(bases.tar([("etc", None), ("etc/x", b"1" * 50_000)]))
    request: dict[str, Any] = {"context": str(context), "args": {"SOURCE_DATE_EPOCH": "1"}}
    base, app = f"{registry.host}/base:1", f"{registry.host}/app:1"
    cache = {"type": "registry", "ref": f"{registry.host}/cache:{kind}"}
    one = ground.session("one")
    one.build(Request(**request, outputs=({"type": "registry", "name": base},)))
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY a /etc/\nWORKDIR /work\n")
    outs = ({"type": "registry", "name": app},)
    built = one.build(Request(**request, outputs=outs, cache_to=({**cache, "mode": "max"},)))
    asked = len(registry.seen)
    again = ground.session("two").build(Request(**request, outputs=outs, cache_from=(cache,)))
    assert again.facts["containerimage.digest"] == built.facts["containerimage.digest"]
    assert not any("/blobs/uploads/" in seen.path for seen in registry.seen[asked:])
    assert all(not checked.problem for checked in verify(one.engine, f"docker://{app}"))


def test_a_tag_that_does_not_move(ground: Ground) -> None:
    for status in (400, 409, 412):
        registry = ground.registry("harbor", immutable=status, rate=0)
        session = ground.session(f"s{status}")
        name = f"{registry.host}/app:1"
        session.store.images.set(name, images.image(session.store, 1))
        session.push(name)
        session.store.images.set(name, images.image(session.store, 2))
        begun = len(registry.seen)
        with pytest.raises(RegistryError, match="already exists and is immutable"):
            session.push(name)
        assert sum(seen.method == "PUT" and "/manifests/1" in seen.path for seen in registry.seen[begun:]) == 1


def test_a_repository_that_has_to_be_made_first(ground: Ground) -> None:
    registry = ground.registry("ecr")
    session = ground.session("s")
    name = f"{registry.host}/unknown:1"
    session.store.images.set(name, images.image(session.store, 1))
    with pytest.raises(NotFound, match="repository with name 'unknown' does not exist") as raised:
        session.push(name)
    assert "create the repository first" in raised.value.hint


def test_an_image_without_layers(ground: Ground) -> None:
    registry = ground.registry("quay")
    session = ground.session("s")
    name = f"{registry.host}/app:1"
    session.store.images.set(name, images.image(session.store, 1, ()))
    with pytest.raises(RegistryError, match="an image needs a layer"):
        session.push(name)


def test_a_type_that_it_does_not_know(ground: Ground) -> None:
    registry = ground.registry("quay")
    session = ground.session("s")
    name = f"{registry.host}/app:1"
    empty = Descriptor("application/vnd.oci.empty.v1+json", session.store.blobs.put(b"{}"), 2)
    session.store.images.set(name, images.image(session.store, 1, config=empty.to_json()))
    with pytest.raises(RegistryError, match="unknown media type"):
        session.push(name)


def test_a_manifest_that_is_too_large(ground: Ground) -> None:
    registry = ground.registry("gcr", largest_manifest=1000)
    session = ground.session("s")
    name = f"{registry.host}/app:1"
    session.store.images.set(name, images.image(session.store, 1, annotations={"a": "x" * 1000}))
    with pytest.raises(RegistryError, match="413"):
        session.push(name)


def test_pieces_of_the_size_that_it_wants(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PIECE", 64 << 10)
    registry = ground.registry("pieces-only", least=100_000)
    session = ground.session("s")
    name = f"{registry.host}/app:1"
    made = images.image(session.store, 1, (350_000,))
    session.store.images.set(name, made)
    assert session.push(name) == made.digest
    assert "whole" in registry.refused
    assert "least" not in registry.refused


def test_a_registry_that_is_always_too_busy(ground: Ground) -> None:
    registry = ground.registry("hub", rate=1)
    session = ground.session("s")
    started = time.monotonic()
    with pytest.raises(ImgError, match="429") as raised:
        session.pull(f"{registry.host}/app:1")
    assert "limits how often it may be asked" in raised.value.hint
    assert time.monotonic() - started < 20


ARTIFACT = {"schemaVersion": 2, "manifests": [], "artifactType": "a/b"}
UNKNOWN = {"schemaVersion": 2, "config": {"mediaType": "a/b"}, "layers": []}


@pytest.mark.parametrize(
    ("kind", "rule", "method", "path", "document"),
    [
        ("ecr", "plain", "PUT", "manifests/1", ARTIFACT),
        ("quay", "known_types", "PUT", "manifests/1", UNKNOWN),
        ("ecr", "mounts", "POST", "blobs/uploads/?mount=sha256:x&from=base", None),
        ("artifactory", "heads", "HEAD", "manifests/1", None),
        ("harbor", "deletes", "DELETE", "manifests/1", None),
        ("ecr", "elsewhere", "GET", "blobs/sha256:x", None),
        ("pieces-only", "whole", "PUT", "blobs/uploads/x", ARTIFACT),
        ("ghcr", "by_get", "POST", "token", None),
    ],
)
def test_a_rule_says_no(ground: Ground, kind: str, rule: str, method: str, path: str, document: Any) -> None:
    """What img never meets, because it asks otherwise, is there all the same."""
    registry = ground.registry(kind)
    registry.auth = ""
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    body = b"" if document is None else json.dumps(document).encode()
    answer = registry.answer(method, "/token" if path == "token" else f"/v2/app/{path}", headers, body)
    assert registry.refused == [rule]
    assert answer.status in (202, 307, 400, 404, 405)
