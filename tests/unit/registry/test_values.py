"""Names, platforms and documents."""

from __future__ import annotations

import json

import pytest

from img.errors import ImgError, LayerError, RegistryError, UsageError
from img.oci.mutate import assemble
from img.oci.platform import Platform, host_platform, select
from img.oci.reference import Reference
from img.oci.spec import OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, Index, Manifest, diff_ids

D = "sha256:" + "0" * 64

NAMES = [
    ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("busybox:1", "docker.io/library/busybox:1", "busybox:1"),
    ("a/b", "docker.io/a/b:latest", "a/b:latest"),
    ("docker.io/a", "docker.io/library/a:latest", "a:latest"),
    ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x/y:t", "localhost:5000/x/y:t", "localhost:5000/x/y:t"),
    ("127.0.0.1:5/x", "127.0.0.1:5/x:latest", "127.0.0.1:5/x:latest"),
    ("[::1]:5/x", "[::1]:5/x:latest", "[::1]:5/x:latest"),
    ("ghcr.io/a/b_c-d.e", "ghcr.io/a/b_c-d.e:latest", "ghcr.io/a/b_c-d.e:latest"),
    (f"a@{D}", f"docker.io/library/a@{D}", f"a@{D}"),
    (f"a:1@{D}", f"docker.io/library/a:1@{D}", f"a:1@{D}"),
]


@pytest.mark.parametrize(("text", "whole", "familiar"), NAMES)
def test_names(text: str, whole: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (whole, familiar)
    assert Reference.parse(whole) == reference


@pytest.mark.parametrize(
    "text", ["", "A", "a/B", "a:", "a:.x", "a@sha256:1", "a//b", "-a", "a_", "a b", "x" * 300, "a:" + "t" * 129]
)
def test_bad_names(text: str) -> None:
    with pytest.raises(UsageError, match="invalid image name"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("windows", f"windows/{str(host_platform()).partition('/')[2]}"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("Linux/AMD64", "linux/amd64"),
    ],
)
def test_platforms(text: str, shown: str) -> None:
    assert str(Platform.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "a b"])
def test_bad_platforms(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform"):
        Platform.parse(text)


def test_one_word_is_an_architecture_or_a_system() -> None:
    with pytest.raises(UsageError, match="'amd46' is no architecture and no system"):
        Platform.parse("amd46")


def manifests(*platforms: str) -> list[Descriptor]:
    found = []
    for number, text in enumerate(platforms):
        platform = Platform.parse(text)
        document = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
        found.append(Descriptor(OCI_MANIFEST, f"sha256:{number:064}", 1, document))
    return found


def test_the_best_manifest_is_chosen() -> None:
    there = manifests("linux/arm/v6", "linux/arm/v7", "linux/amd64")
    assert select(there, Platform.parse("linux/arm/v7"), "x") is there[1]
    assert select(there, Platform.parse("linux/amd64"), "x") is there[2]
    assert select(there[:1], Platform.parse("linux/arm/v7"), "x") is there[0]
    with pytest.raises(RegistryError, match="x has no image for linux/arm64") as caught:
        select(there, Platform.parse("linux/arm64"), "x")
    assert "linux/amd64, linux/arm/v6, linux/arm/v7" in caught.value.hint


BAD = [
    (b"[]", "not a JSON object"),
    (b"<html>", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"{}", "manifest.layers is not a list"),
    (b'{"layers": [], "config": 1}', "manifest.config is not an object"),
    (b'{"layers": [], "config": {"mediaType": "x", "digest": "md5:1", "size": 1}}', "manifest.config.digest"),
    (
        json.dumps({"layers": [], "config": {"mediaType": "x", "digest": D, "size": -1}}).encode(),
        "manifest.config.size",
    ),
    (
        json.dumps({"layers": [], "config": {"mediaType": "x", "digest": D, "size": True}}).encode(),
        "manifest.config.size",
    ),
    (b" " * (5 << 20), "more than"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_manifests(data: bytes, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        Manifest.parse(data)


def test_bad_indexes_and_configurations() -> None:
    with pytest.raises(LayerError, match="index.manifests"):
        Index.parse(b"{}")
    for config in ({}, {"rootfs": []}, {"rootfs": {"diff_ids": ["x"]}}):
        with pytest.raises(LayerError, match="diff_ids"):
            diff_ids(config)


def test_an_image_is_assembled() -> None:
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["A=b"]},
        "history": [
            {"created": "2020-01-01T00:00:00Z", "created_by": "base"},
            {"created_by": "ENV", "empty_layer": True},
            {"created_by": "RUN"},
        ],
    }
    layers = [Descriptor(OCI_LAYER_GZIP, D, 5), Descriptor(OCI_LAYER_GZIP, D, 6)]
    image = assemble(config, layers, [D, D], ["2024-05-05T00:00:00Z"])
    document = json.loads(image.config)
    assert list(document) == ["architecture", "os", "created", "config", "history", "rootfs"]
    assert document["created"] == "2024-05-05T00:00:00Z"
    assert [entry["created"][:4] for entry in document["history"]] == ["2020", "2024", "2024"]
    assert document["rootfs"] == {"type": "layers", "diff_ids": [D, D]}
    manifest = Manifest.parse(image.manifest)
    assert manifest.layers == tuple(layers)
    assert assemble(config, layers, [D, D], ["2024-05-05T00:00:00Z"]) == image
    with pytest.raises(ImgError, match="history names more layers"):
        assemble(config, layers, [D, D], [])
