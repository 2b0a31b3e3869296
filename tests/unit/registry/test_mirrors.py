"""A name's endpoints in turn: mirrors, the registry behind them, schemes and proxies."""

from __future__ import annotations

import pytest
from tests.unit.registry.worlds import DATA, LAYER, World, manifest, requests

from img.digest import sha256
from img.errors import Forbidden, ImgError, NotFound, RegistryError
from img.testing import chaos
from img.testing.registry import Handler, error
from img_plugins.registry.auth import Secret
from img_plugins.registry.client import Client
from img_plugins.registry.hosts.model import Endpoint, Fallback
from img_plugins.registry.reader import Reader
from img_plugins.registry.transport import Transport


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
