"""The file work that runs in the sandbox, where owners are the image's own. Arguments and results are JSON.

Selections travel as a listing file with all entries one after the other, beside a list of
``[name, number of entries, number of folders]`` per item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from img.digest import digest_of
from img.files.entry import Entry, listing_digest
from img.files.listing import read_listing, write_listing
from img.files.modes import Mode
from img.files.outline import NAMED, outline_of, tells, view_of
from img.files.place import LayerDraft, Placing, newest, place, place_onto, retimed
from img.files.select import Item, Selection, SnapshotTree, items_digest, select
from img.files.trees import scan
from img.files.users import find_owner
from img.files.view import View

Table = list[list[Any]]


def select_digest(trees: Sequence[str], selection: Sequence[Any]) -> dict[str, str]:
    """The content digest of what a selection takes from a snapshot."""
    return {"digest": items_digest(select(SnapshotTree(trees), Selection.from_json(selection)))}


def pick(trees: Sequence[str], selection: Sequence[Any], listing: str) -> Table:
    """Write what a selection takes from a snapshot to the new file `listing`; returns the table of items."""
    return store_items(select(SnapshotTree(trees), Selection.from_json(selection)), listing)


def store_items(items: Sequence[Item], listing: str) -> Table:
    """Write items to the new file `listing`; returns their table."""
    write_listing(listing, (entry for item in items for entry in (*item.entries, *item.folders)))
    return [[item.name, len(item.entries), len(item.folders)] for item in items]


def read_items(table: Table, listing: str) -> Iterator[Item]:
    """The items that `store_items` wrote."""
    entries = read_listing(listing)
    for name, count, folders in table:
        yield Item(name, list(islice(entries, count)), list(islice(entries, folders)))


def write_outline(layer: str, listing: str) -> None:
    """Write the outline (`img.files.outline`) of a tree, or of a recipe's listing, to the new file `listing`."""
    write_listing(listing, outline_of(layer))


def tells_owner(base: Sequence[str], owner: str) -> bool:
    """Whether trees and outlines say who the ``user[:group]`` is, or that nobody is."""
    view = view_of(base)
    return all(tells(view, path) for part, path in zip(owner.split(":"), NAMED, strict=False) if not part.isdigit())


def place_items(base: Sequence[str], table: Table, listing: str, how: dict[str, Any], out: str) -> dict[str, Any]:
    """Place items over `base` (trees, or outlines: `img.files.outline`), as `img.files.place` says, and write the layer's
    listing to `out`.

    `how` has dest, owner (``user[:group]`` or empty), keep_owner, mode, folder, sources, parents and mtime. Returns the layer's
    ``id``.
    """
    view = view_of(base)
    entries = place(view, list(read_items(table, listing)), _placing(view, how))
    return _finish(retimed(entries, view, how["mtime"]), out, how["mtime"])


def place_unpacked(
    base: Sequence[str], table: Table, listing: str, trees: Sequence[str], how: dict[str, Any], out: str
) -> dict[str, Any]:
    """`place_items` where the content of an unpacked archive, in `trees`, takes the place of its file: an item whose
    tree is not empty. What an archive holds keeps the modes it has there, and the owners unless ``--chown`` says whose
    it is."""
    view = view_of(base)
    placing = _placing(view, how)
    items = list(read_items(table, listing))
    draft = LayerDraft(view, newest(items))
    for item, tree in zip(items, trees, strict=True):
        if tree:
            _place_tree(draft, tree, view.resolve(placing.dest), placing.owner if how["owner"] else None)
        else:
            place_onto(draft, [item], placing)
    return _finish(retimed(draft.finished(), view, how["mtime"]), out, how["mtime"])


def _placing(view: View, how: dict[str, Any]) -> Placing:
    owner = find_owner(view, how["owner"]) if how["owner"] else None if how["keep_owner"] else (0, 0)
    mode = Mode.parse(how["mode"]) if how["mode"] else None
    return Placing(how["dest"], owner, mode, how["folder"], how["sources"], how["parents"])


def _place_tree(draft: LayerDraft, tree: str, target: str, owner: tuple[int, int] | None) -> None:
    draft.folders(target, owner)
    for entry in scan(tree):
        if not entry.path:
            continue
        path = f"{target}/{entry.path}" if target else entry.path
        link = f"{target}/{entry.link}" if entry.kind == "hardlink" and target else entry.link
        if owner is not None:
            entry = entry._replace(uid=owner[0], gid=owner[1])
        draft.entries[path] = entry._replace(path=path, link=link, opaque=False)


def place_folder(base: Sequence[str], path: str, mode: int, owner: str, mtime: int | None, out: str) -> dict[str, Any]:
    """A layer with the folder `path`, made with `mode` and `owner` if it is not there, and its parents."""
    view = view_of(base)
    draft = LayerDraft(view, 0)
    draft.folders(view.resolve(path), find_owner(view, owner) if owner else (0, 0), mode)
    return _finish(retimed(draft.finished(), view, mtime), out, mtime)


def place_file(base: Sequence[str], path: str, entry: Sequence[Any], owner: str, out: str) -> dict[str, Any]:
    """A layer with one new entry at `path`; a folder there gets it by its name. `entry` is (name, kind, mode, size,
    link, digest, source)."""
    name, kind, mode, size, link, digest, source = entry
    view = view_of(base)
    uid, gid = find_owner(view, owner) if owner else (0, 0)
    target = view.resolve(path, final=kind != "symlink")
    there = view.lstat(target)
    if path.endswith("/") or (there is not None and there.kind == "dir"):
        target = f"{target}/{name}" if target else name
    draft = LayerDraft(view, 0)
    draft.folders(target.rpartition("/")[0], (uid, gid) if owner else None)
    draft.put(Entry(target, kind, mode, uid, gid, size, 0, link, (0, 0), (), digest, False, source))
    return _finish(draft.finished(), out)


def remove_paths(base: Sequence[str], path: str, wildcard: bool, missing_ok: bool, out: str) -> dict[str, Any]:
    """A layer that hides `path`, or all that a wildcard matches. Raises `FileError` if nothing is there."""
    view = View(base)
    tree = SnapshotTree(base)
    draft = LayerDraft(view, 0)
    if wildcard:
        found = [item.name for item in select(tree, Selection((path,), parents=True))]
    else:
        head, _, name = path.strip("/").rpartition("/")
        parent = view.resolve(head)
        found = [f"{parent}/{name}" if parent else name]
    for target in found:
        if view.lstat(target) is None:
            if missing_ok:
                continue
            from img.errors import FileError

            raise FileError(f"there is no {path!r} to remove")
        draft.folders(target.rpartition("/")[0], None)
        draft.entries[target] = Entry(target, "whiteout")
    return _finish(draft.finished(), out)


def _finish(entries: list[Entry], out: str, mtime: int | None = None) -> dict[str, Any]:
    """Write a layer's listing. Its id is its content's digest, which knows no times, unless `mtime` is a promise."""
    write_listing(out, entries)
    id = listing_digest(entries)
    return {"id": id if mtime is None else digest_of(["layer", id, "modified", mtime])}
