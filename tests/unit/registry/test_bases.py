"""A COPY onto a base from a registry: what of the base travels, and that the image is the one that its bytes give."""

from __future__ import annotations

import gzip
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import bases
from tests.peers.archives import link

from img.digest import sha256
from img.errors import LayerError, NotFound, RegistryError, UsageError
from img.oci.spec import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from img.request import Request
from img.session import Session
from img.store import outlines as store_outlines
from img.store.outlines import packed, unpacked
from img.testing.registry import Handler, MemoryRegistry, serving
from img_cli.outputs import outputs
from img_plugins.registry.hosts import choose
from img_plugins.registry.network import Patience

BIG = 3 << 20
WORDS: dict[str, Any] = {"push": True, "load": False, "tag": ("x",), "output": (), "iidfile": "", "metadata_file": ""}


def big(seed: int) -> bytes:
    import random

    return random.Random(seed).randbytes(BIG)


FIRST = [
    ("usr", None),
    ("usr/share", None),
    ("usr/share/big", big(1)),
    ("srv", "usr/share"),
    ("old", None),
    ("old/file", b"1"),
    ("gone", None),
    ("gone/file", b"1"),
]
SECOND = [
    ("srv/below", None),
    ("old/.wh..wh..opq", b""),
    (".wh.gone", b""),
    ("usr/big2", big(2)),
    link("hard", "usr/big2"),
]
FILE = """
FROM {base}
COPY a /srv/a
COPY a /gone/
COPY --chown=5:6 a b /srv/below/
WORKDIR /old/work/../deep
COPY <<EOT /srv/below/said
x
EOT
ADD --chmod=750 b /usr/share/new/
"""


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    with serving(MemoryRegistry()) as made:
        yield made


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    return folder


def push_base(registry: MemoryRegistry, layers: list[bytes], **foreign: Any) -> str:
    """A base of plain gzip layers; its name. `foreign` is what the descriptor of the first says besides."""
    packed = [gzip.compress(layer, 1, mtime=0) for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
    }
    data = json.dumps(config).encode()
    for blob in (data, *packed):
        registry.blobs["base", sha256(blob)] = blob
    described = [Descriptor(OCI_LAYER_GZIP, sha256(blob), len(blob)).to_json() for blob in packed]
    described[0].update(foreign)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor(OCI_CONFIG, sha256(data), len(data)).to_json(),
        "layers": described,
    }
    manifest = json.dumps(document).encode()
    registry.manifests["base", "1"] = registry.manifests["base", sha256(manifest)] = (OCI_MANIFEST, manifest)
    return f"{registry.host}/base:1"


def build(root: Path, context: Path, text: str, *outs: dict[str, str], **options: Any) -> str:
    """The digest of the image (if there is one) that `text` builds, pushed unless `outs` say otherwise."""
    (context / "Dockerfile").write_text(text)
    with Session(root, {}) as session:
        session.engine.load("registry", "distribution").network.patience = Patience(3, 0.001)
        result = session.build(Request(context=str(context), args={"SOURCE_DATE_EPOCH": "9"}, outputs=outs, **options))
    return str(result.facts.get("containerimage.digest"))


def sent(registry: MemoryRegistry) -> int:
    """Bytes of layers that the registry has sent since the last question."""
    found, registry.sent = registry.sent, 0
    return found


def as_estargz(registry: MemoryRegistry, context: Path, base: str) -> str:
    """The same base, its layers with tables of contents."""
    name = f"{registry.host}/star:1"
    out = {"type": "registry", "name": name, "compression": "estargz", "force-compression": "true"}
    build(context.parent / "maker", context, f"FROM {base}\n", out)
    return name


def test_a_table_of_contents_is_all_that_travels(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = as_estargz(registry, context, push_base(registry, [bases.tar(FIRST), bases.tar(SECOND)]))
    text = FILE.format(base=base)
    sent(registry)
    lazy = build(tmp_path / "lazy", context, text, {"type": "registry", "name": f"{registry.host}/app:1"})
    assert sent(registry) < 64 << 10
    unpacked = {"type": "image", "name": "base", "unpack": "true"}
    build(tmp_path / "whole", context, f"FROM {base}\n", unpacked)
    assert sent(registry) > 2 * BIG
    assert lazy == build(tmp_path / "whole", context, text, {"type": "oci", "dest": str(tmp_path / "o.tar")})


def test_push_leaves_the_base_where_it_is(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = push_base(registry, [bases.tar(FIRST)])
    found = outputs(WORDS)
    assert found == ({"type": "registry"},)
    build(tmp_path / "s", context, f"FROM {base}\nCOPY --link a /a\n", *found, tags=(f"{registry.host}/app:1",))
    assert sent(registry) < 1 << 10
    assert ("app", "1") in registry.manifests
    with Session(tmp_path / "s", {}) as session:
        assert session.store.images.list() == []


def test_a_cache_says_where_things_are(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = push_base(registry, [bases.tar(FIRST), bases.tar(SECOND)])
    text = FILE.format(base=base)
    cache = {"type": "registry", "ref": f"{registry.host}/cache:1"}
    out = {"type": "registry", "name": f"{registry.host}/app:1"}
    build(tmp_path / "one", context, text, out, cache_to=(cache,))
    (context / "b").write_text("changed: what comes before it is in the cache, and stays there")
    assert build(tmp_path / "one", context, text, out) == build(
        tmp_path / "three", context, text, out, cache_from=(cache,)
    )
    (context / "a").write_text("changed")
    whole = build(tmp_path / "one", context, text, out)
    sent(registry)
    assert build(tmp_path / "two", context, text, out, cache_from=(cache,)) == whole
    assert sent(registry) < 64 << 10


def test_what_made_room_is_remembered(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = push_base(registry, [bases.tar(FIRST)])
    text = FILE.format(base=base)
    out = {"type": "registry", "name": f"{registry.host}/app:1"}
    build(tmp_path / "s", context, text, out)
    assert sent(registry) > BIG
    (context / "a").write_text("changed")
    whole = build(tmp_path / "t", context, text, out)
    with Session(tmp_path / "s", {}) as session:
        session.prune((), True, 1 << 10)
        assert not any((tmp_path / "s/layers").iterdir())
    sent(registry)
    assert build(tmp_path / "s", context, text, out) == whole
    assert sent(registry) < 64 << 10


PEOPLE = [*FIRST, ("etc", None), ("etc/passwd", b"app:x:7:8::/:/bin/sh\n"), ("etc/group", b"staff:x:9:\n")]
OWNED = "FROM {base}\nCOPY --chown=app:staff a /srv/\nCOPY --chown=nobody b /srv/\n"


@pytest.mark.parametrize("linked", [False, True])
def test_owners_by_name_are_looked_up_by_range(
    registry: MemoryRegistry, context: Path, tmp_path: Path, linked: bool
) -> None:
    """Of a layer with a table of contents only the files with the names travel, but for hard links to what is not told."""
    entries = [*PEOPLE[:-2], ("etc/other", PEOPLE[-2][1]), link("etc/passwd", "etc/other", tarfile.LNKTYPE), PEOPLE[-1]]
    base = as_estargz(registry, context, push_base(registry, [bases.tar(entries if linked else PEOPLE)]))
    name = f"{registry.host}/app:1"
    sent(registry)
    digest = build(tmp_path / "s", context, OWNED.format(base=base), {"type": "registry", "name": name})
    assert (sent(registry) > BIG) == linked
    layers = [layer["digest"] for layer in json.loads(registry.manifests["app", "1"][1])["layers"]]
    assert b"0000007\x000000011\x00" in gzip.decompress(registry.blobs["app", layers[-2]])
    assert any((tmp_path / "s/layers").glob("*/tree")) == linked
    out = {"type": "image", "name": "whole", "unpack": "true"}
    assert digest == build(tmp_path / "t", context, OWNED.format(base=base), out)


def test_a_cache_knows_owners_by_name(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    text = OWNED.format(base=push_base(registry, [bases.tar(PEOPLE)]))
    out, cache = (
        {"type": "registry", "name": f"{registry.host}/app:1"},
        {"type": "registry", "ref": f"{registry.host}/c"},
    )
    build(tmp_path / "one", context, text, out, cache_to=(cache,))
    (context / "a").write_text("changed")
    whole = build(tmp_path / "one", context, text, out)
    sent(registry)
    assert build(tmp_path / "two", context, text, out, cache_from=(cache,)) == whole
    assert sent(registry) < 64 << 10


def test_a_table_that_lies_is_not_believed(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = as_estargz(registry, context, push_base(registry, [bases.tar(FIRST)]))
    media_type, data = registry.manifests["star", "1"]
    document = json.loads(data)
    notes = document["layers"][0]["annotations"]
    notes["containerd.io/snapshot/stargz/toc.digest"] = sha256(b"another")
    data = json.dumps(document).encode()
    registry.manifests["star", "1"] = registry.manifests["star", sha256(data)] = (media_type, data)
    sent(registry)
    build(
        tmp_path / "s", context, f"FROM {base}\nCOPY a /srv/a\n", {"type": "registry", "name": f"{registry.host}/app:1"}
    )
    assert sent(registry) > BIG


ROWS = [
    b'["../x", "file", 420, 0, 0, 0, 0, "", [0, 0], [], "", false, ""]',
    b'["x", "nothing", 420, 0, 0, 0, 0, "", [0, 0], [], "", false, ""]',
    b'["x", "file", "420", 0, 0, 0, 0, "", [0, 0], [], "", false, ""]',
    b'["x", "file", 420, -1, 0, 0, 0, "", [0, 0], [], "", false, ""]',
    b'["x", "file", 420, 0, 0, 0, 0, "", [0, 0], [["user.a", "?"]], "", false, ""]',
    b'["x", "file", 420, 0, 0, 0, 0, "", [0, 0], [], "", false, "/etc/shadow"]',
    b'["x"]',
    b"{}",
    b"not json",
]


@pytest.mark.parametrize("row", ROWS)
def test_what_a_cache_says_is_checked(row: bytes) -> None:
    with pytest.raises(LayerError, match="outline"):
        unpacked(packed(row + b"\n"))


def test_what_a_cache_says_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_outlines, "UNPACKED", 1 << 16)
    with pytest.raises(LayerError, match="too long"):
        unpacked(packed(b" " * (1 << 17)))


FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


@pytest.mark.parametrize("media_type", [FOREIGN, NONDISTRIBUTABLE])
def test_layers_that_may_not_be_distributed(
    registry: MemoryRegistry, context: Path, tmp_path: Path, media_type: str
) -> None:
    """By default they become ordinary ones, as with BuildKit; or they stay where they say, and are not pushed."""
    base = push_base(registry, [bases.tar(FIRST)], mediaType=media_type, urls=["https://elsewhere.test/layer"])
    text = f"FROM {base}\nCOPY --link a /a\n"
    found = {}
    for kept in ("false", "true"):
        out = {"type": "registry", "name": f"{registry.host}/app-{kept}:1", "prefer-nondist-layers": kept}
        build(tmp_path / "s", context, text, out)
        found[kept] = json.loads(registry.manifests[f"app-{kept}", "1"][1])["layers"][0]
    digest = found["true"]["digest"]
    assert found["false"] == {"mediaType": OCI_LAYER_GZIP, "digest": digest, "size": found["true"]["size"]}
    assert ("app-false", digest) in registry.blobs
    assert found["true"]["mediaType"] == NONDISTRIBUTABLE
    assert found["true"]["urls"] == ["https://elsewhere.test/layer"]
    assert ("app-true", digest) not in registry.blobs


def test_a_layer_that_only_somebody_else_has(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    layer = bases.tar(FIRST)
    base = push_base(registry, [layer], mediaType=FOREIGN, urls=["https://elsewhere.test/layer"])
    del registry.blobs["base", sha256(gzip.compress(layer, 1, mtime=0))]
    out = {"type": "registry", "name": f"{registry.host}/app:1"}
    with pytest.raises(NotFound) as raised:
        build(tmp_path / "s", context, f"FROM {base}\nCOPY --link a /a\n", out)
    assert "prefer-nondist-layers=true" in raised.value.hint
    build(tmp_path / "s", context, f"FROM {base}\nCOPY --link a /a\n", {**out, "prefer-nondist-layers": "true"})


def test_an_insecure_registry_is_said_with_the_output(
    registry: MemoryRegistry, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "is_loopback", lambda host: False)
    text = "FROM scratch\nCOPY a /a\n"
    for kind in ("registry", "image"):
        out = {"type": kind, "name": f"{registry.host}/{kind}:1", "push": "true"}
        if kind == "registry":
            del out["push"]
        with pytest.raises(RegistryError):
            build(tmp_path / "s", context, text, out)
        build(tmp_path / "s", context, text, {**out, "registry.insecure": "true"})
        assert (kind, "1") in registry.manifests
    cache = {"type": "registry", "ref": f"{registry.host}/cache:1", "registry.insecure": "true"}
    out = {"type": "oci", "dest": str(tmp_path / "o.tar")}
    build(tmp_path / "s", context, text, out, cache_to=(cache,))
    asked = len(registry.seen)
    build(tmp_path / "t", context, text, out, cache_from=(cache,))
    assert any("/blobs/" in seen.path for seen in registry.seen[asked:])


DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.parametrize(
    ("attrs", "media_type"),
    [
        ({}, OCI_MANIFEST),
        ({"compatibility-version": "30"}, OCI_MANIFEST),
        ({"compatibility-version": "20"}, DOCKER),
        ({"compatibility-version": "10"}, DOCKER),
        ({"compatibility-version": "20", "oci-mediatypes": "true"}, OCI_MANIFEST),
        ({"compatibility-version": "20", "compression": "zstd"}, OCI_MANIFEST),
        ({"compatibility-version": "20", "annotation.a": "b"}, OCI_MANIFEST),
    ],
)
def test_an_older_version_of_the_outputs(
    registry: MemoryRegistry, context: Path, tmp_path: Path, attrs: dict[str, str], media_type: str
) -> None:
    out = {"type": "registry", "name": f"{registry.host}/app:1", **attrs}
    build(tmp_path / "s", context, "FROM scratch\nCOPY a /a\n", out)
    assert registry.manifests["app", "1"][0] == media_type


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"compatibility-version": "15"}, "no compatibility-version=15"),
        ({"compatibility-version": "new"}, "no compatibility-version=new"),
        ({"compatibility-version": "10", "compression": "zstd"}, "has no compression=zstd"),
    ],
)
def test_a_version_that_there_is_not(context: Path, tmp_path: Path, attrs: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build(tmp_path / "s", context, "FROM scratch\nCOPY a /a\n", {"type": "image", "name": "x", **attrs})


def test_a_layer_is_unpacked_while_the_next_comes(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    """The second blob is held back until the first layer's tree is there."""
    layers = [bases.tar(FIRST), bases.tar(SECOND)]
    base = push_base(registry, layers)
    second = sha256(gzip.compress(layers[1], 1, mtime=0))
    tree = tmp_path / "s/layers" / sha256(layers[0])[7:] / "tree"
    waited: list[bool] = []

    def hold(handler: Handler) -> bool:
        if handler.command == "GET" and handler.path.endswith(second):
            until = time.monotonic() + 20
            while not tree.exists() and time.monotonic() < until:
                time.sleep(0.02)
            waited.append(tree.exists())
        return False

    registry.fault = hold
    build(tmp_path / "s", context, f"FROM {base}\n", {"type": "tar", "dest": str(tmp_path / "o.tar")})
    assert waited == [True]
