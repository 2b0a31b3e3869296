"""300 pushes and pulls at a registry where about every fourth request goes wrong."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.registry import images

from img.digest import sha256
from img.session import Session
from img.testing.chaos import Chaos
from img.testing.registry import MemoryRegistry, serving
from img_plugins.registry import upload
from img_plugins.registry.network import Patience

ROUNDS = 150
"""Of a push and a pull each."""


@pytest.fixture(params=["pieces", "whole"])
def registry(request: pytest.FixtureRequest) -> Iterator[MemoryRegistry]:
    with serving(MemoryRegistry(user="u", password="p", auth="token", pieces=request.param == "pieces")) as made:
        yield made


def session(root: Path, registry: MemoryRegistry) -> Session:
    auth = root.with_suffix(".json")
    auth.write_text(json.dumps({"auths": {registry.host: {"username": "u", "password": "p"}}}))
    made = Session(root, {"auth_file": str(auth)})
    made.engine.load("registry", "distribution").network.patience = Patience(8, 0.001)
    return made


def whole(registry: MemoryRegistry, name: str, tag: str) -> bool:
    """Whether a tag stands for an image that is all there and right."""
    data = registry.manifests[name, tag][1]
    document = json.loads(data)
    for descriptor in (document["config"], *document["layers"]):
        blob = registry.blobs[name, descriptor["digest"]]
        if sha256(blob) != descriptor["digest"] or len(blob) != descriptor["size"]:
            return False
    return registry.manifests[name, sha256(data)][1] == data


def test_no_failure_that_a_retry_could_mend(
    registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PIECE", 16 << 10)
    registry.largest = (20 << 10) if registry.pieces else 0
    chaos = Chaos(seed=4, rate=0.25)
    registry.fault = chaos
    chance = random.Random(1)
    with session(tmp_path / "from", registry) as source, session(tmp_path / "to", registry) as sink:
        for number in range(ROUNDS // 2):
            name = f"{registry.host}/r{number % 7}:t{number}"
            sizes = tuple(chance.choice((0, 7, 900, 70_000)) for _ in range(chance.randrange(1, 4)))
            made = images.image(source.store, number, sizes)
            source.store.images.set(name, made)
            assert source.push(name) == made.digest
            assert whole(registry, f"r{number % 7}", f"t{number}")
            found = sink.pull(name)
            assert found == made
            for descriptor in json.loads(sink.store.blobs.read(found.digest))["layers"]:
                assert sha256(b"".join(sink.store.blobs.chunks(descriptor["digest"]))) == descriptor["digest"]
        for number in range(ROUNDS // 2):
            name = f"{registry.host}/r{number % 7}:t{number}"
            moved = f"{registry.host}/moved/r{number % 3}:t{number}"
            sink.store.images.set(moved, sink.pull(name))
            sink.push(moved)
            assert whole(registry, f"moved/r{number % 3}", f"t{number}")
    missing = {"drop", "wrong_bytes", "endless", "not_found_after_commit", "token_lost", "too_many"} - set(chaos.met)
    assert not missing, Counter(chaos.met)
    if registry.pieces:
        assert {"half_a_piece", "range_refused"} <= set(chaos.met), Counter(chaos.met)
