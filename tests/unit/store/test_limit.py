"""Room in the store: what is in use stays, the oldest goes first, and other builds are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.store.test_usage import Here, blocks, cache, layer
from tests.unit.store.test_usage import store as store  # a fixture

from img.errors import StoreError, UsageError
from img.events import Event, Warning
from img.settings import size_of
from img.store.limit import Limit, shown
from img.store.store import Store
from img.store.using import Using

LAYER = 110_000
"""Bytes that `layer` takes at most, with its tree and blob."""


def limit(store: Store, most: int, told: list[Event] | None = None) -> Limit:
    return Limit(store, Here, most, (told if told is not None else []).append)


def record(store: Store, id: str, used: float) -> None:
    store.records.put([f"key-{id}"], [id], f"step {id[7:9]}")
    store.database.write("UPDATE records SET used = ? WHERE key = ?", (used, f"key-{id}"))


def ids(store: Store) -> set[str]:
    return {row[0] for row in store.database.read("SELECT id FROM layers")}


def test_the_least_recently_used_goes_first(store: Store) -> None:
    made = [layer(store, name) for name in "abcd"]
    for used, id in zip((30, 10, 40, 20), made, strict=True):
        record(store, id, used)
    share = store.using()
    limit(store, blocks(store.root) - LAYER).keep()
    assert ids(store) == {made[0], made[2], made[3]} or ids(store) == {made[0], made[2]}
    assert store.records.get(f"key-{made[1]}") is None
    share.release()


def test_what_the_run_has_looked_at_stays_and_is_too_much(store: Store) -> None:
    used, idle = layer(store, "a"), layer(store, "b")
    share = store.using()
    assert store.layers.available(used)
    with pytest.raises(StoreError, match=r"the store may have .* \(store_max\), and what is in use takes"):
        limit(store, 1000).keep()
    assert ids(store) == {used}
    assert store.layers.available(used) and not store.layers.available(idle)
    share.release()


def test_images_stay_but_not_their_unpacked_layers(store: Store) -> None:
    id = layer(store, "a", "docker.io/library/x:1")
    tree = store.root / "layers" / id[7:]
    share = store.using()
    limit(store, blocks(store.root) - 40_000).finish()
    assert not tree.exists() and store.layers.available(id)
    with pytest.raises(StoreError):
        limit(store, 1000).finish()
    assert store.layers.available(id)
    share.release()


def test_beside_another_build_only_cache_mounts_go(store: Store) -> None:
    id, folder, told = layer(store, "a"), cache(store, "c"), []  # type: ignore[var-annotated]
    share, other = store.using(), Store(store.root, store._engine).using()
    limit(store, 1000, told).keep()
    assert ids(store) == {id} and not folder.exists()
    assert [type(event) for event in told] == [Warning]
    other.release()
    with pytest.raises(StoreError):
        limit(store, 1000).keep()
    assert ids(store) == set()
    share.release()


def test_work_in_flight_counts(store: Store) -> None:
    share = store.using()
    (store.scratch() / "big").write_bytes(os.urandom(200_000))
    with pytest.raises(StoreError):
        limit(store, 150_000 + blocks(store.root) - 200_000).keep()
    share.release()


def test_a_share_is_the_whole_lock_only_if_nobody_else_has_one(store: Store) -> None:
    share = store.using()
    with store.alone_now() as alone:
        assert alone
        assert store.alone() is None
    other = Store(store.root, store._engine)
    second = other.using()
    with store.alone_now() as alone:
        assert not alone
        with other.alone_now() as also:
            assert not also
    assert store.alone() is None, "both still have their shares"
    second.release()
    assert store.alone() is None
    share.release()
    lock = store.alone()
    assert lock is not None
    lock.release()


def test_looking_is_using(tmp_path: Path) -> None:
    use = Using()
    assert not use.there("a", tmp_path / "a") and use.there("b", tmp_path)
    use.note("c")
    with use.unused(["a", "b", "c", "d"]) as unused:
        assert unused == {"d"}
    use.clear()
    with use.unused(["a"]) as unused:
        assert unused == {"a"}


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (20 << 30, "20 GiB"), (5000 << 40, "5000 TiB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert shown(size) == text


def test_sizes_from_people() -> None:
    assert [size_of(text, "x") for text in ("", "10", "1.5k", "2 GiB")] == [0, 10, 1536, 2 << 30]
    with pytest.raises(UsageError, match="invalid x 'much'"):
        size_of("much", "x")
