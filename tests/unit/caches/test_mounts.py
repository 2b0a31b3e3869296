"""Cache mounts as documents, and two of them as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img.digest import sha256
from img.errors import LayerError
from img.files.entry import Entry
from img.mounts.index import Mounted, Pack, document, merged, parse
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.store.forms import LayerBlob

ROOT = Entry("", "dir", 0o755)
NAME = "0" * 32


def file(path: str, text: str = "", mtime: int = 0) -> Entry:
    return Entry(path, "file", 0o640, 1, 2, len(text), mtime, digest=sha256(text.encode()))


def tree(*entries: Entry) -> dict[str, Entry]:
    return {entry.path: entry for entry in (ROOT, *entries)}


def test_both_keep_theirs_and_the_newer_wins() -> None:
    ours = tree(file("a", "1", 5), file("both", "old", 1))
    theirs = tree(file("b", "2", 5), file("both", "new", 2))
    found = merged(ours, theirs, {})
    assert set(found) == {"", "a", "b", "both"}
    assert found["both"].digest == sha256(b"new")


def test_what_one_side_removed_is_gone_unless_the_other_changed_it() -> None:
    base = tree(file("stale", "1"), file("live", "1"), file("theirs", "1"))
    ours = tree(file("theirs", "1"))
    theirs = tree(file("stale", "1"), file("live", "2", 9))
    assert set(merged(ours, theirs, base)) == {"", "live"}


def test_a_folder_and_a_file_of_one_name() -> None:
    ours = tree(Entry("x", "dir", 0o755, mtime=1), file("x/y", "1"))
    theirs = tree(file("x", "2", 9))
    assert set(merged(ours, theirs, {})) == {"", "x"}


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Entry]:
    found = {"": ROOT}
    for path in sorted(draw(st.sets(PATHS, max_size=8))):
        parent = path.rpartition("/")[0]
        if parent in found and found[parent].kind == "dir":
            time = draw(st.integers(0, 3))
            found[path] = Entry(path, "dir", 0o755, mtime=time) if draw(st.booleans()) else file(path, path, time)
    return found


@given(trees(), trees(), trees())
def test_whatever_is_merged_is_a_tree(ours: dict[str, Entry], theirs: dict[str, Entry], base: dict[str, Entry]) -> None:
    found = merged(ours, theirs, base)
    assert list(found) == sorted(found)
    for path in found:
        assert found[path.rpartition("/")[0]].kind == "dir"
    assert merged(ours, ours, base) == ours
    assert {e.path for e in merged(ours, theirs, {}).values() if e.kind == "file"} <= set(ours) | set(theirs)
    assert all(found[path] in (ours.get(path), theirs.get(path)) or found[path].kind == "dir" for path in found)


def whole() -> dict[str, Any]:
    pack = Pack(LayerBlob(Descriptor(OCI_LAYER_GZIP, "sha256:" + "1" * 64, 9), "sha256:" + "2" * 64), frozenset())
    name = "n\udcff"
    files = tree(Entry("d", "dir", 0o700), file("d/f", "x"), Entry("s", "symlink", 0o777, link="d/f"), file(name, "y"))
    made: dict[str, Any] = json.loads(json.dumps(document({NAME: Mounted("id", "/t", files, (pack,))})))
    return made


def test_there_and_back() -> None:
    found = parse(whole())
    assert parse(json.loads(json.dumps(document(found)))) == found
    assert found[NAME].files["d/f"] == file("d/f", "x")


def files(change: Callable[[list[Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda found: change(next(row for row in found["mounts"][NAME]["files"] if row[0] == "d/f"))


BAD: dict[str, Callable[[dict[str, Any]], None]] = {
    "kind": lambda found: found.update(kind="x"),
    "name": lambda found: found["mounts"].update({"../x": found["mounts"][NAME]}),
    "up": files(lambda row: row.__setitem__(0, "d/../../x")),
    "absolute": files(lambda row: row.__setitem__(0, "/etc/passwd")),
    "through a link": files(lambda row: row.__setitem__(0, "s/x")),
    "nowhere": files(lambda row: row.__setitem__(0, "no/x")),
    "digest": files(lambda row: row.__setitem__(9, "../../x")),
    "device": files(lambda row: row.__setitem__(1, "char")),
    "mode": files(lambda row: row.__setitem__(2, 0o77777)),
    "owner": files(lambda row: row.__setitem__(3, -1)),
    "xattrs": files(lambda row: row.__setitem__(8, [["a", "?"]])),
    "short": files(lambda row: row.pop()),
    "packs": lambda found: found["mounts"][NAME].update(packs=[{"holds": ["x"]}]),
}


@pytest.mark.parametrize("change", list(BAD))
def test_documents_that_are_wrong(change: str) -> None:
    found = whole()
    BAD[change](found)
    with pytest.raises(LayerError):
        parse(found)
