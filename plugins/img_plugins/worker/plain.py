"""Around and under a step on the rung *plain*: namespaces and mounts as with an overlay, but its root is a plain copy, where
the disk of the store refuses overlays. What changed is found by an index, as on the rung *copy* (`img_plugins.worker.copied`).
"""

from __future__ import annotations

import os
import socket
from typing import Any

from img.files.view import View
from img.oci.changes import collect, index
from img.oci.copies import copy_file
from img.sandbox import step as steps
from img_plugins.worker.caches import copy_view
from img_plugins.worker.stubs import stubbed

Step = dict[str, Any]


def as_plain(step: Step, copies: str) -> Step:
    """`step` for this rung; `copies` is the folder where roots wait."""
    return {
        **step,
        "copies": copies,
        "root": f"{os.path.dirname(step['upper'])}/root",
        "before": "img_plugins.worker.copied:prepare",
        "run": f"{__name__}:run",
        "after": "img_plugins.worker.copied:finish",
    }


def run(step: Step, fds: list[int], job: socket.socket) -> dict[str, Any]:
    """Run the process in the root, and collect what has changed."""
    root = step["root"]
    before = index(root)  # as it will be again when the places for mounts are gone
    for item in step["mounts"]:
        if item["kind"] == "view":
            _copy(item)
    with stubbed(root, step["mounts"]):
        reply = steps.supervise(step, fds, job)
    if reply.get("status") == 0:
        collect(root, before, step["upper"])
    return reply


def _copy(item: dict[str, Any]) -> None:
    """A path in a stack of trees becomes a copy of it, and a bind of that."""
    view = View(item["lower"])
    place = f"{item['work']}/copy"
    if item.get("file"):
        entry = view.lstat(item["path"])
        assert entry is not None
        copy_file(entry._replace(path=""), place)
    else:
        copy_view(view, item["path"], place)
    item.update(kind="bind", source=place)
