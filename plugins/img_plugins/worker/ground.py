"""Around a step's process, in its child of the sandbox: what it stands on before, and what is left of it after."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from img.files.records import unprivileged
from img.files.users import find_user
from img.files.view import View
from img.oci.diff import digest_tree, remove_tree
from img.oci.settle import settle


def prepare(step: dict[str, Any]) -> dict[str, Any]:
    """Before a step: make the folder for its changes, with the attributes of the root below it, and complete it.

    Its ``user`` becomes ``uid``, ``gid``, ``groups`` and, unless it is set, HOME in ``env``; each mount gets a ``stub``:
    where its target leads in the image; ``absent`` is every part of these that the image lacks, deepest first.
    """
    view = View(step["lower"])
    found = find_user(view, step["user"])
    root = view.lstat("")
    upper = step["upper"]
    os.mkdir(step["work"], 0o755)
    os.mkdir(upper, 0o755)
    if root is not None:
        if not unprivileged():
            os.chown(upper, root.uid, root.gid)
        os.chmod(upper, root.mode)
        os.utime(upper, ns=(root.mtime, root.mtime))
    places = [view.resolve(mount["target"]) for mount in step["mounts"]]
    absent = {part for place in places for part in _parts(place) if view.lstat(part) is None}
    home = [] if any(name == "HOME" for name, _ in step["env"]) else [["HOME", found.home]]
    return {
        **step,
        "uid": found.uid,
        "gid": found.gid,
        "groups": [*found.groups, *step["groups"]],
        "env": [*step["env"], *home],
        "mounts": [{**mount, "stub": f"/{place}"} for mount, place in zip(step["mounts"], places, strict=True)],
        "absent": sorted(absent, key=lambda part: -part.count("/")),
    }


def _parts(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(1, len(names) + 1)]


def finish(step: dict[str, Any]) -> dict[str, Any]:
    """After a step: take out of its changes what changes nothing, remove what it needed while it ran, and digest what is
    left."""
    remove_absent(step)
    settle(step["upper"], step["lower"])
    remove_tree(step["work"])
    return digest_tree(step["upper"])


def remove_absent(step: dict[str, Any]) -> None:
    """Take mount points that had to be made in the step's changes out of them again.

    They are made there if a layer of the image hides the stub layer: a removed path, or a folder made anew.
    """
    root = os.path.realpath(step["upper"])
    for part in step["absent"]:
        place = f"{root}/{part}"
        if os.path.realpath(os.path.dirname(place)) != os.path.dirname(place):
            continue  # the step put a symbolic link there: it may lead anywhere
        with suppress(OSError):
            above = os.lstat(os.path.dirname(place))
            if os.path.isdir(place) and not os.path.islink(place):
                os.rmdir(place)
            elif os.path.isfile(place) and os.lstat(place).st_size == 0:
                os.unlink(place)
            os.utime(os.path.dirname(place), ns=(above.st_atime_ns, above.st_mtime_ns))
