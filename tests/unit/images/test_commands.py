"""Looking at images, naming, copying, merging, comparing, checking; no registry and no sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers.archives import archive, config, layout, legacy, link, stream
from tests.peers.bases import tar

from img.errors import ImgError, RegistryError, UsageError
from img.images import names
from img.images.compare import compare
from img.images.copy import copy, save
from img.images.inspect import docker_view, history, inspect, render
from img.images.load import load
from img.images.merge import merge
from img.images.places import Place, opened
from img.images.select import matching
from img.images.stored import find
from img.images.verify import verify
from img.session import Session
from img_cli.commands.images import told

ONE = tar([("a", b"one"), ("d", None), ("same", b"same")])
TWO = tar([("a", b"two"), ("d", None), ("e", b""), ("same", b"same")])


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        yield opened


def put(session: Session, name: str, *layers: bytes, **more: Any) -> str:
    """Load an image by that name; returns its manifest's digest."""
    document = config(layers, **more)
    load(session.engine, stream(archive(legacy(layers, (name,), config=document))))
    return find(session.engine, name).descriptor.digest


# --- names -----------------------------------------------------------------------------------------------------------


def test_found_by_name_digest_and_prefix(session: Session) -> None:
    digest = put(session, "a:1", ONE)
    id = docker_view(session.engine, "a:1")["Id"]
    for text in ("a:1", "docker.io/library/a:1", digest, digest[7:], digest[7:15], id, id[7:19], f"a:1@{digest}"):
        assert find(session.engine, text).descriptor.digest == digest
    for text in ("b", "a", "abc", "f" * 64, f"a:1@{id}"):
        with pytest.raises(ImgError, match="the store has no image"):
            find(session.engine, text)
    with pytest.raises(UsageError, match="invalid image name"):
        find(session.engine, "No Name")


def test_tag_and_remove(session: Session) -> None:
    digest = put(session, "a:1", ONE)
    assert names.tag(session.engine, "a:1", "b") == "docker.io/library/b:latest"
    assert find(session.engine, "b").descriptor.digest == digest
    assert names.remove(session.engine, ["a:1"]) == ["docker.io/library/a:1"]
    with pytest.raises(ImgError, match="no image nope:latest") as raised:
        names.remove(session.engine, ["nope", "b"])
    assert raised.value.hint == "removed: docker.io/library/b:latest"
    assert session.store.images.list() == []


def test_a_digest_removes_every_name(session: Session) -> None:
    digest = put(session, "a:1", ONE)
    names.tag(session.engine, digest[:19], "b:2")
    assert len(names.remove(session.engine, [digest])) == 2


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], ["a:1", "b:latest", "host:5/a:2"]),
        (["name==a:1"], ["a:1"]),
        (["name==b"], ["b:latest"]),
        (["name~=^host"], ["host:5/a:2"]),
        (["name!=a:1,name!=b"], ["host:5/a:2"]),
        (["name==a:1", "name==b"], ["a:1", "b:latest"]),
        (["target.mediatype~=manifest.v1"], ["a:1", "b:latest", "host:5/a:2"]),
        (["target.digest==sha256:00"], []),
    ],
)
def test_filters(session: Session, filters: list[str], found: list[str]) -> None:
    put(session, "a:1", ONE)
    names.tag(session.engine, "a:1", "b")
    names.tag(session.engine, "a:1", "host:5/a:2")
    shown = [image.name.removeprefix("docker.io/library/") for image in matching(session.store.images.list(), filters)]
    assert shown == found


@pytest.mark.parametrize("text", ["name", "name=a", "size==3", "name~=(", ""])
def test_bad_filters(text: str) -> None:
    with pytest.raises(UsageError):
        matching([], [text])


# --- looking ---------------------------------------------------------------------------------------------------------


def test_views_and_history(session: Session) -> None:
    past = [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD one"},
        {"created": "2024-01-02T00:00:00Z", "created_by": "ENV A=b", "empty_layer": True, "comment": "c"},
        {"created": "2024-01-03T00:00:00Z", "created_by": "ADD two"},
    ]
    put(session, "a:1", ONE, TWO, history=past, created="2024-01-03T00:00:00Z", author="me")
    assert inspect(session.engine, "a:1")["history"] == past
    steps = history(session.engine, "a:1")
    assert [step.created_by for step in steps] == ["ADD two", "ENV A=b", "ADD one"]
    assert [bool(step.size) for step in steps] == [True, False, True]
    view = docker_view(session.engine, "a:1")
    assert view["RepoTags"] == ["a:1"]
    assert view["Author"] == "me"
    assert view["Architecture"] == "amd64"
    assert len(view["RootFS"]["Layers"]) == 2


VIEW = {"Id": "x", "Config": {"Env": ["A=b", "C"], "Labels": {"a.b": "v", "z": "w"}, "Cmd": None}, "Yes": True, "N": 3}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "x"),
        ("{{ .Config.Env }} {{.N}}", "[A=b C] 3"),
        ("{{json .Config.Env}}", '["A=b","C"]'),
        ('{{index .Config.Labels "a.b"}}', "v"),
        ("{{.Config.Labels}}", "map[a.b:v z:w]"),
        ("{{.config.cmd}} {{.Yes}}", "<nil> true"),
        ("plain\\n", "plain\n"),
        ("{{json .}}", json.dumps(VIEW, separators=(",", ":"))),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render(template, VIEW) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Nope}}", "there is no field 'Nope'"),
        ("{{.Id.More}}", "there is no field 'More'"),
        ("{{range .Config.Env}}", "the template can't do {{range .Config.Env}}"),
        ("{{.Id", "has no end"),
    ],
)
def test_templates_that_are_none(template: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        render(template, VIEW)


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:1", Place("store", "", "a:1")),
        ("docker://a", Place("docker", "", "docker.io/library/a:latest")),
        ("oci:/x/y", Place("oci", "/x/y", "")),
        ("oci:/x:tag", Place("oci", "/x", "tag")),
        ("oci-archive:f.tar:h:5/n:1", Place("oci-archive", "f.tar", "h:5/n:1")),
        ("docker-archive:f.tar", Place("docker-archive", "f.tar", "")),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert Place.parse(text) == place


@pytest.mark.parametrize("text", ["oci:", "docker-daemon:x", "containers-storage:x", "docker://A"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        Place.parse(text)


def test_a_layout_with_several_images_wants_a_name(session: Session, tmp_path: Path) -> None:
    put(session, "a:1", ONE)
    put(session, "b:2", TWO)
    for name in ("a:1", "b:2"):
        copy(session.engine, name, f"oci:{tmp_path}/l")
    with (
        pytest.raises(UsageError, match="has 2 images") as raised,
        opened(session.engine, f"oci:{tmp_path}/l"),
    ):
        pass
    assert raised.value.hint == "name one: a:1, b:2"
    for word in ("a:1", "1", find(session.engine, "a:1").descriptor.digest):
        assert compare(session.engine, "a:1", f"oci:{tmp_path}/l:{word}") == []
    with pytest.raises(ImgError, match="has no image c"), opened(session.engine, f"oci:{tmp_path}/l:c"):
        pass
    put(session, "a:1", TWO)
    copy(session.engine, "a:1", f"oci:{tmp_path}/l")
    assert len(json.loads((tmp_path / "l" / "index.json").read_text())["manifests"]) == 2
    assert compare(session.engine, "a:1", f"oci:{tmp_path}/l:a:1") == []


@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_a_word_for_a_name_is_found_again(session: Session, tmp_path: Path, kind: str) -> None:
    digest = put(session, "a:1", ONE)
    copy(session.engine, "a:1", f"{kind}:{tmp_path}/place:word")
    assert copy(session.engine, f"{kind}:{tmp_path}/place:word", "b:1").digest == digest


def test_a_copy_that_fails_leaves_nothing(session: Session, tmp_path: Path) -> None:
    members = layout([ONE])
    for name, data in members:
        (tmp_path / "l" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "l" / name).write_bytes(data)
    blob = tmp_path / "l" / members[0][0]
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    for dest in (
        f"oci:{tmp_path}/new",
        f"oci-archive:{tmp_path}/new.tar",
        f"docker-archive:{tmp_path}/new.tar",
        "new:1",
    ):
        with pytest.raises(ImgError, match="has other bytes than|that should be"):
            copy(session.engine, f"oci:{tmp_path}/l", dest)
    assert not (tmp_path / "new.tar").exists()
    assert not list((tmp_path / "new").rglob("*.*"))
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert session.store.images.list() == []
    (result,) = verify(session.engine, f"oci:{tmp_path}/l")
    assert "its descriptor says" in result.problem


# --- several platforms -----------------------------------------------------------------------------------------------


def test_merge_and_choose(session: Session, tmp_path: Path) -> None:
    digests = {arch: put(session, f"a:{arch}", ONE, architecture=arch) for arch in ("amd64", "arm64", "s390x")}
    descriptor = merge(session.engine, "all:1", [f"a:{arch}" for arch in digests])
    index = json.loads(session.store.blobs.read(descriptor.digest))
    assert {m["platform"]["architecture"]: m["digest"] for m in index["manifests"]} == digests
    for arch, digest in digests.items():
        assert find(session.engine, "all:1").one(f"linux/{arch}").descriptor.digest == digest
        assert copy(session.engine, "all:1", f"one:{arch}", f"linux/{arch}").digest == digest
    with pytest.raises(RegistryError, match="no image for linux/riscv64"):
        find(session.engine, "all:1").one("linux/riscv64")
    assert copy(session.engine, "all:1", f"oci-archive:{tmp_path}/x.tar", every=True) == descriptor
    assert len(verify(session.engine, f"oci-archive:{tmp_path}/x.tar")) == 3
    with pytest.raises(UsageError, match="both for linux/amd64"):
        merge(session.engine, "b:1", ["all:1", "a:amd64", put(session, "c:1", TWO)])
    again = merge(session.engine, "again:1", ["all:1", "a:s390x"])
    assert again.digest == descriptor.digest
    with pytest.raises(UsageError, match="nothing to merge"):
        merge(session.engine, "b:1", [])


def test_an_index_of_wrong_platforms_is_found(session: Session) -> None:
    put(session, "a:1", ONE, architecture="arm64")
    found = find(session.engine, "a:1")
    entry = {**found.descriptor.to_json(), "platform": {"os": "linux", "architecture": "amd64"}}
    data = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    from img.oci.spec import OCI_INDEX, Descriptor

    session.store.images.set("docker.io/library/i:1", Descriptor(OCI_INDEX, session.store.blobs.put(data), len(data)))
    (result,) = verify(session.engine, "i:1")
    assert result.problem == "the index says the image is for linux/amd64, its configuration says linux/arm64"


# --- comparing -------------------------------------------------------------------------------------------------------


def test_differences(session: Session) -> None:
    put(session, "a:1", ONE, config={"Env": ["A=1"], "Cmd": ["x"]})
    put(session, "b:1", TWO, ONE, config={"Env": ["A=2"], "User": "u"})
    found = compare(session.engine, "a:1", "b:1")
    rows = {(d.layer, d.path): d for d in found}
    assert {(d.layer, d.path, d.change) for d in found} == {
        (-1, "config.Cmd", "removed"),
        (-1, "config.Env.A", "changed"),
        (-1, "config.User", "added"),
        (0, "a", "changed"),
        (0, "e", "added"),
        (1, "a", "added"),
        (1, "d", "added"),
        (1, "same", "added"),
    }
    assert [field for field, _, _ in rows[0, "a"].what] == ["content"]
    assert compare(session.engine, "a:1", "a:1") == []


def test_histories_are_told_step_by_step(session: Session) -> None:
    steps = [
        {"created": "2024-01-01T00:00:00Z", "created_by": text, "empty_layer": True}
        for text in ("ADD one", "RUN  make", "CMD x")
    ]
    other = [steps[0], {**steps[0], "created_by": "COPY a /"}, {**steps[1], "created": "2024-02-02T00:00:00Z"}]
    put(session, "a:1", config={"Labels": {"v": "1"}}, history=steps)
    put(session, "b:1", config={"Labels": {"v": "2"}, "User": "u"}, history=other)
    assert told(compare(session.engine, "a:1", "b:1")) == [
        "configuration:",
        "  ~ config.Labels.v  (1 → 2)",
        "  + config.User  (u)",
        "  + history 2  (COPY a /)",
        "  ~ history 3  (RUN make, created 2024-01-01T00:00:00Z → 2024-02-02T00:00:00Z)",
        "  - history 3  (CMD x)",
    ]


def test_order_and_form_are_differences(session: Session) -> None:
    put(session, "a:1", tar([("x", b"1"), ("y", b"2")]))
    put(session, "b:1", tar([("y", b"2"), ("x", b"1")]))
    put(session, "c:1", tar([("x", b"1"), ("y", b"2")]) + bytes(10240))
    assert [d.change for d in compare(session.engine, "a:1", "b:1")] == ["order"]
    assert [d.change for d in compare(session.engine, "a:1", "c:1")] == ["form"]


def test_every_kind_of_change(session: Session) -> None:
    put(session, "a:1", tar([("x", b"1"), ("l", "one"), ("k", b"")]))
    put(session, "b:1", tar([("x", None), ("l", "two"), link("k", "x")]))
    what = {d.path: [field for field, _, _ in d.what] for d in compare(session.engine, "a:1", "b:1")}
    assert what["l"] == ["link"]
    assert what["x"] == ["kind", "size", "content"]
    assert "kind" in what["k"]


# --- saving ----------------------------------------------------------------------------------------------------------


def test_saving_what_is_not_there_writes_nothing(session: Session) -> None:
    put(session, "a:1", ONE)
    parts: list[bytes] = []
    for wanted, form, message in ((["a:1", "b:1"], "docker", "no image b:1"), (["a:1"], "zip", "no format 'zip'")):
        with pytest.raises(ImgError, match=message):
            save(session.engine, wanted, form, parts.append)
    assert parts == []


def test_saved_by_digest_it_has_no_name(session: Session) -> None:
    digest = put(session, "a:1", ONE)
    parts: list[bytes] = []
    save(session.engine, [digest[7:19]], "docker", parts.append)
    assert b'"RepoTags":[]' in b"".join(parts)
    names.remove(session.engine, ["a:1"])
    (image,) = load(session.engine, stream(b"".join(parts)))
    assert (image.names, image.descriptor.digest) == ((), digest)
    assert session.store.images.list() == []


def test_archives_of_one_image_twice_hold_it_once(session: Session) -> None:
    put(session, "a:1", ONE)
    names.tag(session.engine, "a:1", "b:1")
    parts: list[bytes] = []
    save(session.engine, ["a:1", "b:1", "a:1"], "docker", parts.append)
    assert b'"RepoTags":["a:1","b:1"]' in b"".join(parts)
