"""Whole images through a session: indexes, platforms, mounts, and layers that are only somewhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest
from tests.unit.registry import images

from img.errors import ImgError, RegistryError, StoreError
from img.oci.platform import host_platform
from img.oci.spec import Descriptor
from img.session import Session
from img.testing.registry import MemoryRegistry, serving
from img_plugins.registry.network import Patience


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    with serving(MemoryRegistry()) as made:
        yield made


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[list[Session]]:
    with ExitStack() as stack:
        made = [stack.enter_context(Session(tmp_path / name, {})) for name in ("one", "two")]
        for session in made:
            session.engine.load("registry", "distribution").network.patience = Patience(3, 0.001)
        yield made


def on(descriptor: Descriptor, architecture: str) -> Descriptor:
    return replace(descriptor, platform={"os": "linux", "architecture": architecture})


def test_an_index_in_an_index(registry: MemoryRegistry, sessions: list[Session]) -> None:
    one, two = sessions
    mine = host_platform().architecture
    other = "arm64" if mine != "arm64" else "amd64"
    store = one.store
    inner = images.index(store, on(images.image(store, 1), mine), on(images.image(store, 2), other))
    outer = images.index(
        store, replace(inner, platform={"os": "linux", "architecture": mine}), on(images.image(store, 3), "s390x")
    )
    name = f"{registry.host}/nested:1"
    store.images.set(name, outer)
    assert one.push(name) == outer.digest
    assert two.pull(name, every=True).digest == outer.digest
    again = f"{registry.host}/again:1"
    two.store.images.set(again, outer)
    assert two.push(again) == outer.digest
    assert registry.manifests["again", "1"] == registry.manifests["nested", "1"]


def test_one_platform_of_an_index(registry: MemoryRegistry, sessions: list[Session]) -> None:
    one, two = sessions
    store = one.store
    index = images.index(store, on(images.image(store, 1), "amd64"), on(images.image(store, 2), "riscv64"))
    name = f"{registry.host}/multi:1"
    store.images.set(name, index)
    one.push(name)
    with pytest.raises(RegistryError, match="has no image for linux/s390x"):
        two.pull(name, ["s390x"])
    assert two.store.images.get(name) is None
    assert two.pull(name, ["riscv64"]).digest == index.digest
    with pytest.raises(StoreError, match=r"does not have all of .*\(amd64\) is missing"):
        two.push(name)


def test_an_image_for_another_platform(registry: MemoryRegistry, sessions: list[Session]) -> None:
    one, two = sessions
    name = f"{registry.host}/single:1"
    one.store.images.set(name, images.image(one.store, 1))
    one.push(name)
    with pytest.raises(RegistryError, match="is for linux/amd64, not for linux/s390x"):
        two.pull(name, ["s390x"])
    assert two.pull(name, ["amd64"])


def test_what_was_pushed_before_is_mounted(registry: MemoryRegistry, sessions: list[Session]) -> None:
    one, _ = sessions
    made = images.image(one.store, 1)
    for repository in ("a", "b"):
        name = f"{registry.host}/{repository}:1"
        one.store.images.set(name, made)
        one.push(name)
    sent = [seen.path for seen in registry.seen if seen.method == "PUT" and "/uploads/" in seen.path]
    assert len(sent) == 3
    assert all(path.startswith("/v2/a/") for path in sent)


def test_layers_that_are_only_elsewhere_are_streamed_through(sessions: list[Session]) -> None:
    one, two = sessions
    with serving(MemoryRegistry()) as near, serving(MemoryRegistry()) as far:
        name = f"{far.host}/base:1"
        made = images.image(one.store, 1, (5, 1 << 20))
        one.store.images.set(name, made)
        one.push(name)
        two.pull(name)
        layer = json.loads(two.store.blobs.read(made.digest))["layers"][1]["digest"]
        two.store.blobs.remove(layer)
        moved = f"{near.host}/moved:1"
        two.store.images.set(moved, made)
        assert two.push(moved) == made.digest
        assert near.blobs["moved", layer] == far.blobs["base", layer]
        assert not two.store.blobs.has(layer)
        del far.blobs["base", layer]
        del near.blobs["moved", layer]
        with pytest.raises(ImgError, match="is not there"):
            two.push(moved)


def test_a_damaged_blob_of_the_store_does_not_leave_it(registry: MemoryRegistry, sessions: list[Session]) -> None:
    one, _ = sessions
    made = images.image(one.store, 1)
    layer = json.loads(one.store.blobs.read(made.digest))["layers"][1]["digest"]
    one.store.blobs.path(layer).write_bytes(b"x" * 3000)
    name = f"{registry.host}/damaged:1"
    one.store.images.set(name, made)
    with pytest.raises(StoreError, match="was damaged"):
        one.push(name)
    assert ("damaged", "1") not in registry.manifests
    assert ("damaged", layer) not in registry.blobs


def test_login_asks_on_a_terminal(tmp_path: Path) -> None:
    import sys

    with serving(MemoryRegistry(user="u", password="hush", auth="token")) as registry:
        env = {**os.environ, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path), "IMG_ROOT": str(tmp_path / "store")}
        child = pexpect.spawn(sys.executable, ["-m", "img_cli", "login", registry.host], env=env, timeout=30)
        child.expect("Username: ")
        child.sendline("u")
        child.expect("Password: ")
        child.sendline("hush")
        child.expect("Login Succeeded")
        child.expect(pexpect.EOF)
        assert b"hush" not in child.before
    assert registry.host in json.loads((tmp_path / "config.json").read_text())["auths"]
