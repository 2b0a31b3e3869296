"""Caches that are slow, broken, or lie: the image is always right, and the build never waits long."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from img.digest import sha256
from img.events import Event, StepStarted, Warning
from img.request import Request
from img.session import Session
from img.testing.chaos import Chaos
from img.testing.registry import Handler, MemoryRegistry, serving
from img_plugins.registry.network import Patience

FILE = "FROM scratch\n" + "".join(f"COPY f{number} /\n" for number in range(6))
DEADLINE = "1"


class Watch:
    """What happened in a build."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.why: list[str] = []
        self.warnings: list[str] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self.ran.append(event.title)
            self.why.append(event.why)
        elif isinstance(event, Warning):
            self.warnings.append(event.message)

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(FILE)
    for number in range(6):
        (folder / f"f{number}").write_text(str(number) * 5000)
    return folder


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    with serving(MemoryRegistry()) as made:
        yield made


def build(root: Path, context: Path, **options: Any) -> tuple[str, Watch, float]:
    """The digest of the image, what happened, and how long it took."""
    watch = Watch()
    with Session(root, {"cache_deadline": DEADLINE}) as session:
        session.engine.load("registry", "distribution").network.patience = Patience(4, 0.001)
        _ = session.engine.sandbox
        started = time.monotonic()
        request = Request(context=str(context), tags=("x",), **options)
        result = session.build(request, [watch])
        return result.images[0][1], watch, time.monotonic() - started


def args(epoch: int = 1) -> dict[str, str]:
    return {"SOURCE_DATE_EPOCH": str(epoch)}


def ref(registry: MemoryRegistry) -> dict[str, str]:
    return {"type": "registry", "ref": f"{registry.host}/cache:x"}


@pytest.fixture
def right(tmp_path: Path, context: Path, registry: MemoryRegistry) -> str:
    """The digest of the image, after the registry got a cache of it."""
    return build(tmp_path / "a", context, args=args(), cache_to=({**ref(registry), "mode": "max"},))[0]


def test_a_hit(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    found, watch, _ = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert (found, watch.ran, watch.warnings) == (right, [], [])


def stalling(part: str) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        if part in handler.path:
            time.sleep(4)
            handler.close_connection = True
            return True
        return False

    return fault


@pytest.mark.parametrize("part", ["/v2/", "/manifests/", "/blobs/"])
def test_a_server_that_stalls(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str, part: str) -> None:
    """It costs the deadline once or twice, and a warning; not an error, and not the server's time for every layer."""
    _, _, alone = build(tmp_path / "alone", context, args=args())
    registry.fault = stalling(part)
    found, watch, took = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert (found, len(watch.ran), len(watch.warnings)) == (right, 6, 1)
    assert took < alone + 2 * float(DEADLINE) + 1


def test_layers_that_stall(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    """The index comes, the layers are there, but their bytes do not come."""
    index = first_layer(registry)
    _, _, alone = build(tmp_path / "alone", context, args=args())

    def fault(handler: Handler) -> bool:
        wanted = handler.command == "GET" and "/blobs/" in handler.path and index not in handler.path
        return wanted and stalling("/blobs/")(handler)

    registry.fault = fault
    found, watch, took = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert (found, len(watch.ran)) == (right, 6)
    assert any("it is built instead" in words for words in watch.warnings)
    assert took < alone + 4 * float(DEADLINE) + 2


def test_layers_that_trickle(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    """A byte now and then is no answer either."""
    index = first_layer(registry)

    def fault(handler: Handler) -> bool:
        if handler.command != "GET" or "/blobs/" not in handler.path or index in handler.path:
            return False
        answer = handler.honest()
        handler.head(answer, len(answer.body))
        for at in range(len(answer.body)):
            handler.wfile.write(answer.body[at : at + 1])
            time.sleep(0.3)
        return True

    registry.fault = fault
    found, watch, took = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert (found, len(watch.ran)) == (right, 6)
    assert took < 15


def test_a_slow_network(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    """Questions are asked side by side, so a latency is paid a few times only, however many layers there are."""

    def fault(handler: Handler) -> bool:
        time.sleep(0.15)
        return False

    registry.fault = fault
    seen = len(registry.seen)
    found, watch, took = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert (found, watch.ran) == (right, [])
    asked = registry.seen[seen:]
    assert took < 0.15 * len(asked), "one after the other it would have taken longer"


def test_forty_steps_half_a_second_away(tmp_path: Path, context: Path, registry: MemoryRegistry) -> None:
    """What is all cached costs a few ways there and back, not one for each step."""
    (context / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY f0 /{n}\n" for n in range(40)))
    wanted, _, _ = build(tmp_path / "a", context, args=args(), cache_to=({**ref(registry), "mode": "max"},))
    registry.fault = lambda handler: bool(time.sleep(0.5))
    watch = Watch()
    with Session(tmp_path / "b") as session:
        request = Request(context=str(context), args=args(), cache_from=(ref(registry),))
        started = time.monotonic()
        session.build(request, [watch])
        took = time.monotonic() - started
    assert (watch.ran, watch.warnings) == ([], [])
    assert took < 3 + 5 * 0.5
    registry.fault = lambda handler: False
    assert build(tmp_path / "b", context, args=args())[0] == wanted


def test_chaos(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    """About every fourth request goes wrong: hit or miss, the image is the same."""
    hits = 0
    for seed in range(12):
        registry.fault = Chaos(seed, 0.25)
        found, watch, _ = build(tmp_path / f"b{seed}", context, args=args(), cache_from=(ref(registry),))
        assert found == right
        hits += not watch.ran
    assert hits, "a cache that is only sometimes broken is of some use"


def first_layer(registry: MemoryRegistry) -> str:
    digest: str = json.loads(registry.manifests["cache", "x"][1])["layers"][0]["digest"]
    return digest


def rewrite(registry: MemoryRegistry, change: Callable[[Any], None]) -> None:
    """Put another index into the cache, and make its manifest fit."""
    document = json.loads(registry.manifests["cache", "x"][1])
    digest = document["layers"][0]["digest"]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(registry.blobs["cache", digest]))) as archive:
        member = archive.extractfile("cache.json")
        assert member is not None
        index = json.load(member)
    change(index)
    data, out = json.dumps(index).encode(), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("cache.json")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    packed = gzip.compress(out.getvalue())
    document["layers"][0].update(digest=sha256(packed), size=len(packed))
    registry.blobs["cache", sha256(packed)] = packed
    manifest = json.dumps(document).encode()
    registry.manifests["cache", "x"] = (document["mediaType"], manifest)


BAD: dict[str, Callable[[Any], None]] = {
    "version": lambda index: index.update(version=99),
    "path": lambda index: index["layers"][0].update(id="sha256:../../../x"),
    "layers": lambda index: index.update(layers=7),
    "blob": lambda index: index["layers"][0]["blob"].update(digest="x"),
    "keys": lambda index: index["records"][0].update(keys=[]),
    "words": lambda index: index.update(words={"a": [1]}),
    "listings": lambda index: index.update(listings={"a": 1}),
    "steps": lambda index: index.update(steps=[["a", "b", "c", "d"]]),
}


@pytest.mark.parametrize("change", list(BAD))
def test_an_index_that_is_wrong(
    tmp_path: Path, context: Path, registry: MemoryRegistry, right: str, change: str
) -> None:
    rewrite(registry, BAD[change])
    found, watch, _ = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert (found, len(watch.ran), len(watch.warnings)) == (right, 6, 1)


def test_words_that_are_hostile(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    """Listings that are none, or unpack without end, and words for the terminal: explaining does without."""

    def change(index: Any) -> None:
        bomb = base64.b64encode(zlib.compress(bytes(1 << 28))).decode()
        index["listings"] = dict.fromkeys(index["listings"], bomb)
        (broken, *_) = index["listings"]
        index["listings"][broken] = "%%%"
        for parts in index["words"].values():
            for part in parts:
                part[1] += "\x1b]0;x\x07" if part[0] not in ("files", "step") else ""

    rewrite(registry, change)
    for number in range(6):
        (context / f"f{number}").write_text("changed")
    _, watch, _ = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert len(watch.ran) == 6
    assert not any("\x1b" in why for why in watch.why), watch.why
    assert all(watch.why), watch.why


def test_layers_that_are_not_what_the_index_says(
    tmp_path: Path, context: Path, registry: MemoryRegistry, right: str
) -> None:
    """Bytes that have their digest, but unpack to something else than was promised, are not used."""

    def change(index: Any) -> None:
        for layer in index["layers"]:
            layer["diffId"] = "sha256:" + "5" * 64

    rewrite(registry, change)
    (context / "Dockerfile").write_text(FILE + "FROM scratch\nCOPY --from=0 /f1 /\n")
    wanted, _, _ = build(tmp_path / "alone", context, args=args())
    found, watch, _ = build(tmp_path / "b", context, args=args(), cache_from=(ref(registry),))
    assert found == wanted
    assert len(set(watch.ran)) == 7
    assert len(watch.ran) <= 9, "after two lies nothing more is asked of the cache"


def test_a_cache_that_can_not_be_written(tmp_path: Path, context: Path, registry: MemoryRegistry) -> None:
    to = {"type": "registry", "ref": "127.0.0.1:1/cache"}
    with pytest.raises(Exception, match="can't reach"):
        build(tmp_path / "a", context, args=args(), cache_to=(to,))
    _, watch, _ = build(tmp_path / "a", context, args=args(), cache_to=({**to, "ignore-error": "true"},))
    assert "was not written" in watch.warnings[0]


def test_values_that_sound_secret_do_not_travel(tmp_path: Path, context: Path) -> None:
    """They are told apart by digest, on the other machine too."""
    folder = tmp_path / "cache"
    text = "FROM scratch\nARG API_TOKEN\nADD --chmod=0644 f0 /\n"
    (context / "Dockerfile").write_text(text)
    build(tmp_path / "a", context, args=args(), cache_to=({"type": "local", "dest": str(folder)},))
    from img.solver.explain import portable

    parts = (("env API_TOKEN", "hunter22"), ("env MODE", "fast"))
    hidden = dict(portable(parts))
    assert "hunter22" not in hidden["env API_TOKEN"]
    assert hidden["env MODE"] == "fast"


def test_several_in_order_and_none(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    caches = (
        {"type": "local", "src": str(tmp_path / "nothing")},
        {"type": "registry", "ref": f"{registry.host}/no-such"},
        ref(registry),
    )
    found, watch, _ = build(tmp_path / "b", context, args=args(), cache_from=caches)
    assert (found, watch.ran, watch.warnings) == (right, [], [])


def test_a_store_outlives_its_cache(tmp_path: Path, context: Path, registry: MemoryRegistry, right: str) -> None:
    """What a build found but did not fetch is built when it is needed and the cache is gone."""
    watch = Watch()
    with Session(tmp_path / "b", {"cache_deadline": DEADLINE}) as session:
        request = Request(context=str(context), args=args(), cache_from=(ref(registry),))
        session.build(request, [watch])
    assert watch.ran == []
    registry.blobs.clear()
    found, later, _ = build(tmp_path / "b", context, args=args())
    assert (found, len(later.ran)) == (right, 6)


BUILDKITS = "application/vnd.buildkit.cacheconfig.v0"
OCI = "application/vnd.oci.image"


def buildkits_cache(registry: MemoryRegistry, form: str) -> None:
    """What BuildKit leaves under a name: an index, an image, or an image that carries it."""
    config = {"layers": [], "records": []}
    if form == "inline":
        config = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "moby.buildkit.cache.v0": "e30="}
    blob = json.dumps(config).encode()
    registry.blobs["c", sha256(blob)] = blob
    part = {
        "mediaType": f"{OCI}.config.v1+json" if form == "inline" else BUILDKITS,
        "digest": sha256(blob),
        "size": len(blob),
    }
    media_type = f"{OCI}.{'index' if form == 'index' else 'manifest'}.v1+json"
    inner = {"manifests": [part]} if form == "index" else {"config": part, "layers": []}
    registry.manifests["c", "1"] = (
        media_type,
        json.dumps({"schemaVersion": 2, "mediaType": media_type, **inner}).encode(),
    )


@pytest.mark.parametrize("form", ["index", "image", "inline"])
def test_a_cache_of_buildkits_is_said_to_be_one(
    registry: MemoryRegistry, context: Path, tmp_path: Path, form: str
) -> None:
    buildkits_cache(registry, form)
    cache = {"type": "registry", "ref": f"{registry.host}/c:1"}
    _, watch, _ = build(tmp_path / "s", context, args=args(), cache_from=(cache,))
    assert [words for words in watch.warnings if "written by BuildKit" in words and f"{registry.host}/c:1" in words]
    assert len(watch.ran) == 6
