"""What takes room in a store, filters, and what a prune may take."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from img.engine import Engine
from img.errors import UsageError
from img.files.disk import measure, move
from img.oci.diff import remove_tree
from img.oci.spec import Descriptor
from img.plugin.registry import Registry
from img.store.filters import parse_filters
from img.store.locks import shared, try_lock
from img.store.prune import prune
from img.store.store import Store
from img.store.usage import Usage, usage, use_lock


class Here:
    """A sandbox whose jobs run right here."""

    rung = "none"

    def call(self, function: str, *args: Any, fds: Sequence[int] = ()) -> Any:
        jobs: dict[str, Callable[..., Any]] = {
            "img.files.disk:measure": measure,
            "img.files.disk:move": move,
            "img.oci.diff:remove_tree": remove_tree,
        }
        return jobs[function](*args)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s", Engine(tmp_path / "s", {}, Registry([], {})))


def layer(store: Store, name: str, image: str = "", size: int = 50_000) -> str:
    """A layer with a tree and a blob; with `image` one that this image has."""
    import json

    id = "sha256:" + (name * 64)[:64]
    tree = store.tmp / name
    tree.mkdir()
    (tree / "f").write_bytes(os.urandom(size))
    store.layers.add_tree(tree, id)
    digest = store.blobs.put(os.urandom(size))
    descriptor = Descriptor("application/vnd.oci.image.layer.v1.tar", digest, size)
    store.database.write("UPDATE layers SET blob = ? WHERE id = ?", (json.dumps(descriptor.to_json()), id))
    if image:
        config = store.blobs.put(b"{}" + name.encode())
        manifest = {"config": {"digest": config}, "layers": [descriptor.to_json()]}
        data = json.dumps(manifest).encode()
        where = store.blobs.put(data)
        store.images.set(image, Descriptor("application/vnd.oci.image.manifest.v1+json", where, len(data)))
    return id


def cache(store: Store, name: str) -> Path:
    folder = store.root / "cache-mounts" / name
    folder.mkdir()
    (folder / "f").write_bytes(b"x" * 9000)
    store.caches.used(name, f"id-{name}", f"/{name}")
    return folder


def blocks(folder: Path) -> int:
    return measure([os.fspath(folder)])[0]


def test_it_adds_up_to_the_folder(store: Store) -> None:
    layer(store, "a", "docker.io/library/x:1")
    layer(store, "b")
    cache(store, "c")
    store.pins.set("k", "v" * 1000)
    found = usage(store, Here())
    assert sum(one.size for one in found) == pytest.approx(blocks(store.root), rel=0.02)
    assert {one.type for one in found} == {"regular", "exec.cachemount", "source.local", "internal"}
    sizes = [one.size for one in found]
    assert sizes == sorted(sizes, reverse=True)


def test_prune_takes_what_no_image_needs(store: Store) -> None:
    kept, loose = layer(store, "a", "docker.io/library/x:1"), layer(store, "b")
    store.records.put(["k1"], [kept], "RUN one")
    store.records.put(["k2"], [kept, loose], "RUN two")
    store.pins.set("ref", "digest")
    store.plans.set("plan", "graph")
    place = cache(store, "c")
    orphan = store.blobs.put(b"nobody's")
    before = blocks(store.root)
    done = prune(store, Here(), lambda one: True)
    assert done.alone
    assert {one.id for one in done.taken} >= {loose, orphan, "c", "remembered"}
    assert kept not in {one.id for one in done.taken}
    assert not place.exists()
    assert not store.blobs.has(orphan)
    assert store.layers.get(loose) is None
    assert store.layers.available(kept)
    assert store.records.get("k1") is not None
    assert store.records.get("k2") is None
    assert store.pins.get("ref") is None
    assert store.plans.get("plan") is None
    assert before - blocks(store.root) >= 100_000
    assert (store.root / "layers" / ("a" * 64) / "tree").exists()

    more = prune(store, Here(), lambda one: True, everything=True)
    assert [one.id for one in more.taken] == [kept]
    assert not (store.root / "layers" / ("a" * 64)).exists()
    assert store.layers.available(kept)


def test_prune_beside_a_build_takes_only_idle_caches(store: Store) -> None:
    loose = layer(store, "b")
    idle, busy = cache(store, "idle"), cache(store, "busy")
    build, step = store.using(), shared(use_lock(store, "busy"))
    done = prune(store, Here(), lambda one: True)
    assert not done.alone
    assert [one.id for one in done.taken] == ["idle"]
    assert busy.exists()
    assert not idle.exists()
    assert store.layers.available(loose)
    build.release()
    step.release()
    assert {one.id for one in prune(store, Here(), lambda one: True).taken} >= {loose, "busy"}


def test_filters_choose(store: Store) -> None:
    loose = layer(store, "b")
    place = cache(store, "c")
    prune(store, Here(), parse_filters(["type=exec.cachemount"]))
    assert not place.exists()
    assert store.layers.available(loose)
    prune(store, Here(), parse_filters(["until=1h"]))
    assert store.layers.available(loose)
    prune(store, Here(), parse_filters([f"id={loose[7:19]}"]))
    assert not store.layers.available(loose)


THING = Usage("sha256:abcdef123456", "regular", "RUN make", 10, shared=True, reclaimable=False, used=1000.0)


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ([], True),
        (["type=regular"], True),
        (["type==regular"], True),
        (["type!=regular"], False),
        (["type=exec.cachemount"], False),
        (["type=exec.cachemount", "type=regular"], True),
        (["type=regular,shared=false"], False),
        (["type=regular,shared=true,private=false"], True),
        (["id=abcdef"], True),
        (["id=sha256:abcdef123456"], True),
        (["id=abc"], False),
        (["id~=^sha256:ab"], True),
        (["description~=make"], True),
        (["inuse=false,mutable=false,reclaimable=false"], True),
        (["until=1m"], True),
        (["until=2h"], False),
        (["type=regular", "until=2h"], False),
        (["until=1m30s,type=regular"], True),
    ],
)
def test_filters(words: list[str], holds: bool) -> None:
    assert parse_filters(words, now=2000.0)(THING) is holds


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "the filter '' is not FIELD=VALUE"),
        ("regular", "the filter 'regular' is not FIELD=VALUE"),
        ("typ=regular", "there is no field 'typ' to filter by"),
        ("type=layer", "there is no type 'layer'"),
        ("id~=(", "'(' is not a regular expression"),
        ("until=yesterday", "until=yesterday is not a span of time"),
    ],
)
def test_filters_that_are_wrong(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filters([word])
    assert str(caught.value).startswith(message)


def test_shares_and_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    one, two = shared(path), shared(path)
    assert try_lock(path) is None
    one.release()
    assert try_lock(path) is None
    two.release()
    alone = try_lock(path)
    assert alone is not None
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(shared(path)))
    waiting.start()
    waiting.join(0.1)
    assert got == []
    alone.release()
    waiting.join(10)
    assert try_lock(path) is None
    got[0].release()


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "a" / "f", tmp_path / "b" / "f")
    first, second, nothing = measure([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")])
    assert first > 100_000 > second
    assert nothing == 0
