"""Transfers against a registry in memory that behaves, but for what a test spoils."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.registry.worlds import DATA, LAYER, World, manifest, once, pour, requests

from img.digest import sha256
from img.errors import CorruptBlob, NotFound, RegistryError, Unauthorized
from img.oci.mutate import encode
from img.oci.spec import OCI_INDEX, OCI_MANIFEST, Descriptor
from img.testing import chaos
from img.testing.registry import Handler, error
from img_plugins.registry import upload
from img_plugins.registry.auth import IDENTITY, Secret
from img_plugins.registry.upload import Uploader

# --- pulls ------------------------------------------------------------------------------------------------------------


def test_a_blob_goes_on_where_it_broke_off(world: World) -> None:
    registry = world.registry()
    manifest(registry)
    registry.fault = once(chaos.drop_in_the_middle, "GET", "/blobs/")  # type: ignore[assignment]
    ranges: list[str] = []
    spoil = registry.fault

    def watching(handler: Handler) -> bool:
        ranges.append(handler.headers.get("Range", ""))
        return spoil(handler)

    registry.fault = watching
    assert world.client(registry).blob(LAYER).read() == DATA
    assert len(ranges) == 2
    begun, _, last = ranges[1].removeprefix("bytes=").partition("-")
    assert int(begun) > 1 << 20
    assert int(last) == len(DATA) - 1


@pytest.mark.parametrize("second", [chaos.range_refused, chaos.range_ignored])
def test_a_registry_without_ranges(world: World, second: chaos.Fault) -> None:
    registry = world.registry()
    manifest(registry)
    faults = [chaos.drop_in_the_middle, second]

    def act(handler: Handler) -> bool:
        if faults:
            faults.pop(0)(handler)
            return True
        return False

    registry.fault = act
    assert world.client(registry).blob(LAYER).read() == DATA


def test_a_body_that_goes_on_is_cut_off(world: World) -> None:
    registry = world.registry()
    manifest(registry)

    def act(handler: Handler) -> bool:
        chaos.endless(handler)
        return True

    registry.fault = act
    with pytest.raises(CorruptBlob, match="more than the promised"):
        world.client(registry).blob(LAYER).read()
    with pytest.raises(RegistryError, match="is larger than"):
        world.client(registry).manifest("1")


def test_a_digest_is_asked_for_without_the_manifest(world: World) -> None:
    registry = world.registry()
    digest, _ = manifest(registry)
    client = world.client(registry)
    assert client.digest("1") == digest
    with pytest.raises(NotFound):
        client.digest("2")
    registry.fault = once(lambda handler: handler.send(error(405, "UNSUPPORTED")), "HEAD")  # type: ignore[assignment]
    assert client.digest("1") == ""


def test_a_manifest_that_belies_its_header(world: World) -> None:
    registry = world.registry()
    manifest(registry)

    def act(handler: Handler) -> bool:
        chaos.other_digest(handler)
        return True

    registry.fault = act
    with pytest.raises(CorruptBlob, match="for sha256:0000"):
        world.client(registry).manifest("1")


def test_tags_come_in_pages(world: World) -> None:
    registry = world.registry()
    registry.page = 3
    names = [f"t{number:02}" for number in range(10)]
    for name in names:
        manifest(registry, tag=name)
    assert list(world.client(registry).tags()) == names
    assert len(registry.seen) == 4
    with pytest.raises(NotFound):
        list(world.client(registry, "nothing").tags())


def test_a_next_page_is_on_the_same_host(world: World) -> None:
    registry, other = world.registry(), world.registry()

    def act(handler: Handler) -> bool:
        answer = handler.honest()
        link = ("Link", f'<http://{other.host}/v2/y/tags/list?last=a>; rel="next"')
        handler.send(answer._replace(headers=(link,) if "last" not in handler.path else ()))
        return True

    manifest(registry)
    registry.fault = act
    assert list(world.client(registry).tags()) == ["1"]
    assert [seen.path for seen in registry.seen] == ["/v2/x/tags/list?n=1000", "/v2/x/tags/list?last=a"]
    assert other.seen == []


@pytest.mark.parametrize("api", [True, False])
def test_referrers(world: World, api: bool) -> None:
    registry = world.registry(referrers=api)
    digest, _ = manifest(registry)
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}
    signature, data = manifest(registry, tag="sig", artifactType="a/signature", subject=subject)
    manifest(registry, tag="bom", artifactType="a/bom", subject=subject, annotations={"n": "2"})
    if not api:
        item = Descriptor(OCI_MANIFEST, signature, len(data), artifact_type="a/signature").to_json()
        listed = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [item]})
        registry.manifests["x", digest.replace(":", "-")] = (OCI_INDEX, listed)
    client = world.client(registry)
    assert [found.digest for found in client.referrers(digest, "a/signature")] == [signature]
    assert len(client.referrers(digest)) == (2 if api else 1)
    assert client.referrers("sha256:" + "0" * 64) == []


@pytest.mark.parametrize("api", [True, False])
def test_what_is_pushed_is_found_as_a_referrer(world: World, api: bool) -> None:
    registry = world.registry(referrers=api)
    digest, _ = manifest(registry)
    client = world.client(registry)
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}
    pushed = []
    for number in range(2):
        _, data = manifest(registry, tag="none", artifactType="a/b", subject=subject, annotations={"n": str(number)})
        for _ in range(2):
            pushed.append(Uploader(client).manifest(sha256(data), OCI_MANIFEST, data))
    found = client.referrers(digest, "a/b")
    assert {item.digest for item in found} == set(pushed)
    assert len(found) == 2
    assert (("x", digest.replace(":", "-")) in registry.manifests) == (not api)


# --- pushes -----------------------------------------------------------------------------------------------------------


def test_a_blob_goes_in_one_piece(world: World) -> None:
    registry = world.registry()
    assert Uploader(world.client(registry)).blob(LAYER, pour)
    assert registry.blobs["x", LAYER.digest] == DATA
    assert requests(registry) == ["POST", "PUT"]


COMMITTED = [chaos.not_found_after_commit, chaos.drop_after_commit, chaos.fails_after_commit]


@pytest.mark.parametrize("fault", COMMITTED)
def test_an_upload_that_only_seemed_to_fail(world: World, fault: chaos.Fault) -> None:
    registry = world.registry()
    registry.fault = once(fault, "PUT")  # type: ignore[assignment]
    assert Uploader(world.client(registry)).blob(LAYER, pour)
    assert requests(registry) == ["POST", "PUT", "HEAD"]


def test_a_broken_piece_is_resumed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PIECE", 1 << 20)
    registry = world.registry()
    faults = {"PUT": [chaos.fails], "PATCH": [chaos.half_a_piece, chaos.drop_after_commit]}

    def act(handler: Handler) -> bool:
        if waiting := faults.get(handler.command):
            waiting.pop(0)(handler)
            return True
        return False

    registry.fault = act
    sent: list[tuple[int, int]] = []

    def counted(offset: int, length: int) -> Iterator[bytes]:
        sent.append((offset, length))
        return pour(offset, length)

    assert Uploader(world.client(registry)).blob(LAYER, counted)
    assert registry.blobs["x", LAYER.digest] == DATA
    assert sent[1:] == [(0, 1 << 20), (1 << 19, 1 << 20), (3 << 19, 1 << 20), (5 << 19, 1 << 19)]


def test_a_registry_that_takes_no_pieces(world: World) -> None:
    registry = world.registry(pieces=False)
    registry.fault = once(chaos.fails, "PUT")  # type: ignore[assignment]
    assert Uploader(world.client(registry)).blob(LAYER, pour)
    assert registry.blobs["x", LAYER.digest] == DATA


def test_a_proxy_that_takes_no_large_bodies(world: World) -> None:
    registry = world.registry()
    registry.largest = 1 << 20
    uploader = Uploader(world.client(registry))
    assert uploader.blob(LAYER, pour)
    assert registry.blobs["x", LAYER.digest] == DATA
    registry.blobs.clear()
    registry.seen.clear()
    assert uploader.blob(LAYER, pour)
    assert requests(registry)[:2] == ["POST", "PATCH"], "it is remembered"
    assert requests(registry).count("PUT") == 1


def test_a_mount(world: World) -> None:
    registry = world.registry(user="u", password="p", auth="token")
    registry.blobs["other", LAYER.digest] = DATA
    uploader = Uploader(world.client(registry, secret=Secret("u", "p")))
    assert not uploader.blob(LAYER, pour, mount="other")
    assert registry.blobs["x", LAYER.digest] == DATA
    assert any("repository%3Aother%3Apull" in seen.path for seen in registry.seen if "/token" in seen.path)
    del registry.blobs["x", LAYER.digest]
    assert uploader.blob(LAYER, pour, mount="nowhere")
    assert registry.uploads == {}, "the upload that a refused mount began is given up"


def test_a_manifest_whose_blobs_are_not_visible_yet(world: World) -> None:
    registry = world.registry()
    _, data = manifest(registry)
    registry.fault = once(lambda handler: handler.send(error(404, "MANIFEST_BLOB_UNKNOWN")), "PUT")  # type: ignore[assignment]
    assert Uploader(world.client(registry)).manifest("2", OCI_MANIFEST, data) == sha256(data)
    assert registry.manifests["x", "2"][1] == data


def test_a_manifest_that_is_refused(world: World) -> None:
    registry = world.registry()
    with pytest.raises(RegistryError, match="answered 400 to PUT: manifest_invalid"):
        Uploader(world.client(registry)).manifest("1", OCI_MANIFEST, b"[]")


def test_a_manifest_that_never_arrives(world: World) -> None:
    registry = world.registry()
    _, data = manifest(registry)

    def act(handler: Handler) -> bool:
        chaos.drop(handler)
        return True

    registry.fault = act
    with pytest.raises(RegistryError, match="can't reach the registry"):
        Uploader(world.client(registry)).manifest("2", OCI_MANIFEST, data)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_push_with_credentials(world: World, auth: str) -> None:
    registry = world.registry(user="u", password="p", auth=auth)
    uploader = Uploader(world.client(registry, secret=Secret("u", "p")))
    assert uploader.blob(LAYER, pour)
    registry.tokens.clear()
    assert uploader.has_blob(LAYER.digest)
    wrong = Uploader(world.client(registry, secret=Secret("u", "wrong")))
    with pytest.raises(Unauthorized) as caught:
        wrong.blob(LAYER, pour)
    assert "wrong" not in f"{caught.value.message} {caught.value.hint}"


def test_an_identity_token(world: World) -> None:
    registry = world.registry(user="u", password="p", auth="token")
    registry.identity = "long-lived"
    manifest(registry)
    assert world.client(registry, secret=Secret(IDENTITY, "long-lived")).manifest("1")
    assert "POST" in requests(registry)
