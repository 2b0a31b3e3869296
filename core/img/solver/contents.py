"""The content digest of what a Copy takes, over a local folder or over a snapshot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from img.digest import digest_of
from img.ir.nodes import Copy
from img.ports import Folder, Sandbox, Snapshot

if TYPE_CHECKING:
    from img.store.store import Store


class Engine(Protocol):
    @property
    def store(self) -> Store: ...

    @property
    def sandbox(self) -> Sandbox: ...


def keep_listing(engine: Engine, node: Copy, source: Folder | Snapshot, digest: str) -> None:
    """Keep what a Copy takes from a local folder, path by path, for explaining a later build."""
    if isinstance(source, Folder):
        from img.files.folder import FolderTree
        from img.files.select import Selection, select
        from img.solver.listings import keep

        tree = FolderTree(source.path, source.ignore, engine.store.stats)
        keep(engine.store, digest, select(tree, Selection.of(node)))


def selection_digest(engine: Engine, node: Copy, source: Folder | Snapshot) -> str:
    """See `img.files.select`. Over a folder the stat index is used and nothing is started; over a snapshot the answer
    is remembered for good, because a snapshot never changes."""
    from img.files.select import Selection, folder_digest

    selection = Selection.of(node)
    if isinstance(source, Folder):
        return folder_digest(source.path, source.ignore, engine.store.stats, selection)
    document = selection.to_json()
    key = digest_of([list(source.layers), json.dumps(document, sort_keys=True)])
    known = engine.store.selections.get(key)
    if known is None:
        trees = engine.store.layers.trees(source)
        known = str(engine.sandbox.call("img.files.jobs:select_digest", trees, document)["digest"])
        engine.store.selections.set(key, known)
    return known
