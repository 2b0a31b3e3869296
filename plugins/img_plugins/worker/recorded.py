"""Around and under a step on the rung *one id*: its root is a plain copy, and a recorder says whose its files are.

Layers are recorded trees. The copy has their modes for real, and beside it the owners that it can't have; mounts are real
ones. What changed is found by an index, as on the rung *copy* (`img_plugins.worker.copied`), and becomes a recorded tree.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from img.errors import BackendError
from img.files.owners import Owners, Row
from img.files.records import SUFFIX
from img.files.trees import walk
from img.files.view import View
from img.oci.changes import collect, index
from img.oci.copies import copy_file, lay
from img.sandbox import recorded as sandbox
from img_plugins.worker import ground
from img_plugins.worker.caches import copy_view
from img_plugins.worker.copied import key_of, names_of
from img_plugins.worker.stubs import stubbed

Step = dict[str, Any]


def as_recorded(step: Step, copies: str) -> Step:
    """`step` for this rung; `copies` is the folder where roots wait. Raises `BackendError` for what it can't keep."""
    if step["insecure"]:
        raise BackendError(
            "--security=insecure needs more than one id: with a single one, this user can be nobody else in a step",
            hint="img doctor says which line gives a range of ids",
        )
    here = f"{__name__}:"
    return {
        **step,
        "copies": copies,
        "root": f"{os.path.dirname(step['upper'])}/root",
        "before": f"{here}prepare",
        "run": f"{here}run",
        "after": f"{here}finish",
    }


def prepare(step: Step) -> Step:
    """Before a step: `ground.prepare`, and the root."""
    step = ground.prepare(step)
    _make_root(step["lower"], step["root"], step["copies"])
    return step


def _make_root(trees: Sequence[str], root: str, copies: str) -> None:
    """Take over the root that waits for these trees, or for the longest run of them; lay the rest over it."""
    for count in range(len(trees), 0, -1):
        kept = f"{copies}/{key_of(names_of(trees[:count]))}"
        with suppress(FileNotFoundError):
            os.rename(kept, root)
            os.rename(kept + SUFFIX, root + SUFFIX)
            break
    else:
        count = 0
        os.mkdir(root, 0o755)
    owners = Owners.read(root)
    for tree in trees[count:]:
        lay(tree, root, owners)
    owners.save(root)


def run(step: Step, fds: list[int], job: socket.socket) -> dict[str, Any]:
    """Run the process in the root, and collect what has changed."""
    root = step["root"]
    owners = Owners.read(root)
    before = index(root)  # as it will be again when the places for mounts are gone
    rows = owners.rows(root)
    caches: dict[str, Owners] = {}
    for item in step["mounts"]:
        if item["kind"] == "view":
            rows += _view(item)
        elif item.get("kept"):
            caches[item["source"]] = cache = Owners.read(item["source"])
            rows += cache.rows(item["source"])
    with stubbed(root, step["mounts"]):
        reply = sandbox.supervise({**step, "owners": rows}, fds, job)
    left = reply.pop("owners", [])
    for place, cache in caches.items():
        _keep_cache(place, cache, left)
    if reply.get("status") == 0:
        owners.left(left)
        collect(root, before, step["upper"], owners)
        _note_top(step, owners)
        owners.records.save(step["upper"])
        owners.save(root)
    return reply


def _note_top(step: Step, owners: Owners) -> None:
    """The root folder is in every tree of changes, also if it has none."""
    if not owners.records.has(""):
        top = View(step["lower"]).lstat("")
        if top is not None:
            owners.records.add("", top)


def _view(item: dict[str, Any]) -> list[Row]:
    """A path in a stack of trees becomes a copy of it, and a bind of that; returns the rows of its owners."""
    owners, view = Owners(), View(item["lower"])
    place = f"{item['work']}/copy"
    if item.get("file"):
        entry = view.lstat(item["path"])
        assert entry is not None
        copy_file(owners.keep(entry._replace(path="")), place)
    else:
        copy_view(view, item["path"], place, owners)
    item.update(kind="bind", source=place)
    return owners.rows(place)


def _keep_cache(place: str, before: Owners, rows: list[Row]) -> None:
    """Note the owners of what a step left in a cache; what others noted meanwhile of their own files stays."""
    now, mine = Owners.read(place), Owners()
    mine.left(rows)
    for entry in walk(place):
        with suppress(FileNotFoundError):
            mine.seen(entry.path, os.lstat(entry.source))
        if entry.path not in mine.paths and entry.path in now.paths and entry.path not in before.paths:
            mine.paths[entry.path] = now.paths[entry.path]
    mine.save(place)


def finish(step: Step) -> dict[str, Any]:
    """After a step: what `ground.finish` does, and keep the root for the next one."""
    made = ground.finish(step)
    kept = f"{step['copies']}/{key_of([*names_of(step['lower']), made['id'].removeprefix('sha256:')])}"
    with suppress(OSError):
        os.rename(step["root"] + SUFFIX, kept + SUFFIX)
        os.rename(step["root"], kept)
    return made
