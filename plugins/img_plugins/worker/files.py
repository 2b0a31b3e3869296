"""The steps that are only about files: Copy, Mkdir, Write, Remove, Link, Merge, Diff.

A step becomes a *recipe*: the listing of its layer, with the place of each file's bytes. Nothing is copied until a form
of the layer is needed. Only unpacked archives are made into a tree at once, since their bytes exist nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from img.errors import BackendError
from img.files.folder import FolderTree
from img.files.jobs import store_items
from img.files.select import Item, Selection, select
from img.ir.nodes import Copy, Diff, Link, Merge, Mkdir, Node, Remove, Write
from img.ports import Folder, Host, Result, Snapshot

ARCHIVE = 1 << 20


def make_files(host: Host, node: Node, inputs: Sequence[Result]) -> Snapshot:
    """Make a file step from the results of its inputs. Raises `FileError`."""
    if isinstance(node, Merge):
        return Snapshot(tuple(id for result in inputs for id in _snapshot(result).layers))
    if isinstance(node, Diff):
        return _difference(_snapshot(inputs[0]), _snapshot(inputs[1]))
    base = _snapshot(inputs[0])
    trees = _below(host, node, base)
    scratch = host.store.scratch()
    out = os.fspath(scratch / "layer")
    try:
        if isinstance(node, Copy):
            id = _copy(host, node, inputs[1], trees, scratch, out)
        else:
            id = _one(host, node, trees, out)
    finally:
        host.store.discard(scratch)
    return Snapshot((*base.layers, id))


def _below(host: Host, node: Node, base: Snapshot) -> list[str]:
    """What the step is placed on: the base's trees, or outlines of them where they say enough and the bytes are not here.
    What is removed is looked for among the files themselves."""
    if isinstance(node, Remove):
        return host.store.layers.trees(base)
    owner = getattr(node, "owner", "")
    named = any(part and not part.isdigit() for part in owner.split(":"))
    for anew in (False, True) if named else (False,):
        outlines = host.store.outlines.below(base, named, anew)
        if outlines is None:
            break
        if not named or host.sandbox.call("img.files.jobs:tells_owner", outlines, owner):
            return outlines
    return host.store.layers.trees(base)


def _snapshot(result: Result) -> Snapshot:
    if not isinstance(result, Snapshot):
        raise BackendError("a local folder can only be copied from", hint="copy its files into a stage first")
    return result


def _difference(lower: Snapshot, upper: Snapshot) -> Snapshot:
    count = len(lower.layers)
    if upper.layers[:count] != lower.layers:
        raise BackendError("a difference can only be taken between a snapshot and one that was made from it")
    return Snapshot(upper.layers[count:])


def _one(host: Host, node: Node, trees: list[str], out: str) -> str:
    call = host.sandbox.call
    if isinstance(node, Mkdir):
        made = call("img.files.jobs:place_folder", trees, node.path, node.mode, node.owner, _time(node.mtime), out)
    elif isinstance(node, Write):
        digest = host.store.blobs.put(node.data)
        place = os.fspath(host.store.blobs.path(digest))
        entry = [os.path.basename(node.path), "file", node.mode, len(node.data), "", digest, place]
        made = call("img.files.jobs:place_file", trees, node.path, entry, node.owner, out)
    elif isinstance(node, Link):
        entry = [os.path.basename(node.path), "symlink", 0o777, 0, node.target, "", ""]
        made = call("img.files.jobs:place_file", trees, node.path, entry, node.owner, out)
    elif isinstance(node, Remove):
        made = call("img.files.jobs:remove_paths", trees, node.path, node.wildcard, node.missing_ok, out)
    else:
        raise BackendError(f"this backend does not know the step {node.step}")
    return host.store.layers.add_recipe(_path(out), made["id"])


def _copy(host: Host, node: Copy, source: Result, trees: list[str], scratch: Any, out: str) -> str:
    listing = os.fspath(scratch / "picked")
    selection = Selection.of(node)
    if isinstance(source, Folder):
        tree = FolderTree(source.path, source.ignore, host.store.stats)
        items = select(tree, selection)
        tree.save()
        table = store_items(items, listing)
        if node.unpack and any(archives := [_is_archive(item) for item in items]):
            return _unpack(host, node, items, archives, (table, listing), trees, scratch)
    else:
        table = host.sandbox.call("img.files.jobs:pick", host.store.layers.trees(source), selection.to_json(), listing)
    how = _how(node)
    made = host.sandbox.call("img.files.jobs:place_items", trees, table, listing, how, out)
    return host.store.layers.add_recipe(_path(out), made["id"])


def _time(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000_000_000


def _how(node: Copy) -> dict[str, Any]:
    return {
        "dest": node.dest,
        "owner": node.owner,
        "keep_owner": node.keep_owner,
        "mode": node.mode,
        "folder": node.dest.endswith("/"),
        "sources": len(node.paths),
        "parents": node.parents,
        "mtime": _time(node.mtime),
    }


# --- archives of ADD ---------------------------------------------------------------------------------------


def _is_archive(item: Item) -> bool:
    """Whether a file is a tar, plain or compressed, by its content: as ADD has always done it."""
    top = item.entries[0]
    return top.kind == "file" and top.size > 0 and _head(top.source)[257:262] == b"ustar"


def _head(path: str) -> bytes:
    """The first bytes of a file, unpacked if it is compressed; empty if that fails."""
    from img.errors import LayerError

    try:
        return next(iter(_plain(path)), b"")
    except (LayerError, OSError):
        return b""


def _plain(path: str) -> Any:
    from img.oci.compress import decompressed

    def chunks() -> Any:
        with open(path, "rb") as stream:
            while data := stream.read(ARCHIVE):
                yield data

    return decompressed(chunks())


def _unpack(
    host: Host,
    node: Copy,
    items: list[Item],
    archives: list[bool],
    picked: tuple[list[list[Any]], str],
    trees: list[str],
    scratch: Any,
) -> str:
    """The layer of an ADD with archives among its items (`archives` says which): a tree, since the bytes of what they
    hold exist nowhere else."""
    from img.store.pipes import write_to

    call = host.sandbox.call
    unpacked: list[str] = []
    for number, (item, archive) in enumerate(zip(items, archives, strict=True)):
        if not archive:
            unpacked.append("")
            continue
        place = scratch / f"unpacked-{number}"
        place.mkdir()
        write_to(_plain(item.entries[0].source), call, "img.oci.apply:unpack_archive", os.fspath(place))
        unpacked.append(os.fspath(place))
    listing, tree = scratch / "unpacked", scratch / "tree"
    made = call("img.files.jobs:place_unpacked", trees, *picked, unpacked, _how(node), os.fspath(listing))
    tree.mkdir()
    call("img.oci.diff:make_tree", os.fspath(listing), os.fspath(tree))
    return host.store.layers.add_tree(tree, made["id"])


def _path(text: str) -> Any:
    from pathlib import Path

    return Path(text)
