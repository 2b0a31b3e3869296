"""Transfers against a registry in memory that behaves, but for what a test spoils."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from img.digest import sha256
from img.errors import CorruptBlob, Forbidden, ImgError, NotFound, RegistryError, Unauthorized
from img.oci.mutate import encode
from img.oci.spec import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from img.testing import chaos
from img.testing.registry import Handler, MemoryRegistry, error, serving
from img_plugins.registry import upload
from img_plugins.registry.auth import IDENTITY, Secret
from img_plugins.registry.client import Client
from img_plugins.registry.hosts.model import Endpoint, Fallback
from img_plugins.registry.network import Network, Patience
from img_plugins.registry.reader import Reader
from img_plugins.registry.transport import Transport
from img_plugins.registry.upload import Uploader

DATA = random.Random(0).randbytes(3 << 20)
LAYER = Descriptor(OCI_LAYER, sha256(DATA), len(DATA))


class World:
    """Registries, and clients of them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.network = Network(patience=Patience(4, 0.001))
        self.asked: list[tuple[str, str]] = []

    def registry(self, **habits: object) -> MemoryRegistry:
        return self._stack.enter_context(serving(MemoryRegistry(**habits)))  # type: ignore[arg-type]

    def client(
        self, registry: MemoryRegistry, name: str = "x", secret: Secret | None = None, fallback: Fallback | None = None
    ) -> Client:
        def credentials(host: str, repository: str) -> Secret | None:
            self.asked.append((host, repository))
            return secret

        endpoint = Endpoint(registry.host, name, ("http",), mirror=bool(fallback), fallback=fallback or Fallback.NEVER)
        return Client(endpoint, Transport(endpoint, credentials, self.network))


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        made = World(stack)
        yield made
        made.network.close()


def pour(offset: int, length: int) -> Iterator[bytes]:
    for at in range(offset, offset + length, 1 << 16):
        yield DATA[at : min(at + (1 << 16), offset + length)]


def manifest(registry: MemoryRegistry, name: str = "x", tag: str = "1", **more: object) -> tuple[str, bytes]:
    """Put a small image into a registry."""
    registry.blobs[name, LAYER.digest] = DATA
    registry.blobs[name, sha256(b"{}")] = b"{}"
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor(OCI_CONFIG, sha256(b"{}"), 2).to_json(),
        "layers": [LAYER.to_json()],
        **more,
    }
    data = encode(document)
    for target in (tag, sha256(data)):
        registry.manifests[name, target] = (OCI_MANIFEST, data)
    return sha256(data), data


def once(fault: chaos.Fault, method: str, part: str = "") -> object:
    """Spoil the first request of a kind."""
    left = [fault]

    def act(handler: Handler) -> bool:
        if left and handler.command == method and part in handler.path:
            left.pop()(handler)
            return True
        return False

    return act


def requests(registry: MemoryRegistry) -> list[str]:
    return [seen.method for seen in registry.seen]


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
    assert int(ranges[1].removeprefix("bytes=").removesuffix("-")) > 1 << 20


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


# --- mirrors ----------------------------------------------------------------------------------------------------------


def reader(world: World, *clients: Client) -> tuple[Reader, list[str]]:
    told: list[str] = []
    return Reader(clients, clients, clients, told.append), told


def refusing(status: int) -> object:
    def act(handler: Handler) -> bool:
        handler.send(error(status, "DENIED"))
        return True

    return act


FALLS = [
    (404, Fallback.NEVER, False),
    (404, Fallback.ON_404, True),
    (404, Fallback.ON_ERROR, True),
    (500, Fallback.NEVER, False),
    (500, Fallback.ON_404, False),
    (500, Fallback.ON_ERROR, True),
    (401, Fallback.ON_404, False),
    (401, Fallback.ON_ERROR, True),
    (403, Fallback.ON_404, False),
    (403, Fallback.ON_ERROR, False),
]


@pytest.mark.parametrize(("status", "fallback", "falls"), FALLS)
def test_when_the_next_endpoint_is_asked(world: World, status: int, fallback: Fallback, falls: bool) -> None:
    mirror, registry = world.registry(), world.registry()
    digest, _ = manifest(registry)
    mirror.fault = refusing(status)  # type: ignore[assignment]
    both, told = reader(world, world.client(mirror, fallback=fallback), world.client(registry))
    if falls:
        assert both.manifest("1").digest == digest
        assert both.blob(LAYER).read() == DATA
        assert bool(told) == (status != 404)
    else:
        for act in (lambda: both.manifest("1"), lambda: both.blob(LAYER)):
            with pytest.raises(ImgError) as caught:
                act()
        assert registry.seen == []
        assert isinstance(caught.value, Forbidden) == (status == 403)


def test_a_mirror_that_is_gone(world: World) -> None:
    mirror, registry = world.registry(), world.registry()
    digest, _ = manifest(registry)
    mirror.host = "127.0.0.1:1"
    both, told = reader(world, world.client(mirror, fallback=Fallback.ON_ERROR), world.client(registry))
    assert both.manifest("1").digest == digest
    assert "the mirror 127.0.0.1:1 can't be used" in told[0]


def test_an_error_tells_of_the_mirrors_before(world: World) -> None:
    mirror, registry = world.registry(), world.registry()
    both, _ = reader(world, world.client(mirror, fallback=Fallback.ON_404), world.client(registry))
    with pytest.raises(NotFound) as caught:
        both.manifest("1")
    assert f"before, {mirror.host}" in caught.value.hint


def test_a_blob_goes_on_at_the_next_endpoint(world: World) -> None:
    mirror, registry = world.registry(), world.registry()
    manifest(mirror)
    manifest(registry)
    broken = [True]

    def act(handler: Handler) -> bool:
        if broken.pop() if broken else False:
            chaos.drop_in_the_middle(handler)
        else:
            chaos.drop(handler)
        return True

    mirror.fault = act
    both, _ = reader(world, world.client(mirror, fallback=Fallback.ON_ERROR), world.client(registry))
    assert both.blob(LAYER).read() == DATA
    assert requests(registry) == ["GET"]


def test_wrong_bytes_of_a_mirror_are_not_asked_for_twice(world: World) -> None:
    mirror, registry = world.registry(), world.registry()
    manifest(registry)
    mirror.blobs["x", LAYER.digest] = b"x" * len(DATA)
    both, _ = reader(world, world.client(mirror, fallback=Fallback.ON_ERROR), world.client(registry))
    assert sha256(both.blob(LAYER).read()) != LAYER.digest
    assert both.blob(LAYER).read() == DATA


def test_credentials_go_to_the_host_they_are_for(world: World) -> None:
    mirror = world.registry(user="u", password="p", auth="basic")
    registry = world.registry(user="u", password="p", auth="basic")
    manifest(registry)
    secret = Secret("u", "p")
    both, _ = reader(world, world.client(mirror, "m/x", None, Fallback.ON_ERROR), world.client(registry, secret=secret))
    both.manifest("1")
    assert {seen.authorization for seen in mirror.seen} == {""}
    assert world.asked == [(mirror.host, "m/x"), (registry.host, "x")]


def test_through_a_proxy(world: World) -> None:
    """A registry takes whole URLs as well, so it can stand for a proxy. The proxy's password goes to nobody else."""
    proxy = world.registry()
    digest, _ = manifest(proxy)
    heard: list[str] = []

    def act(handler: Handler) -> bool:
        heard.append(f"{handler.path} {handler.headers.get('Proxy-Authorization')}")
        return False

    proxy.fault = act
    endpoint = Endpoint("registry.example", "x", ("http",), proxy=f"http://user:hush@{proxy.host}")
    client = Client(endpoint, Transport(endpoint, lambda host, repository: None, world.network))
    assert client.manifest("1").digest == digest
    assert heard == ["http://registry.example/v2/x/manifests/1 Basic dXNlcjpodXNo"]
    proxy.host = "127.0.0.1:1"
    endpoint = Endpoint("registry.example", "x", ("http",), proxy=f"http://user:hush@{proxy.host}")
    with pytest.raises(RegistryError, match=r"can't get through the proxy http://127\.0\.0\.1:1") as caught:
        Client(endpoint, Transport(endpoint, lambda host, repository: None, world.network)).manifest("1")
    assert "hush" not in caught.value.message


def test_a_scheme_is_found_out(world: World) -> None:
    registry = world.registry()
    digest, _ = manifest(registry)
    endpoint = Endpoint(registry.host, "x", ("https", "http"))
    client = Client(endpoint, Transport(endpoint, lambda host, repository: None, world.network))
    assert client.manifest("1").digest == digest
    assert client.transport.base == f"http://{registry.host}"
