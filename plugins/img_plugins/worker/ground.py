"""Jobs in the sandbox around a step's process: what it stands on before, and what is left of it after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from img.files.users import find_user
from img.files.view import View
from img.oci.diff import digest_tree, remove_tree


def prepare(trees: Sequence[str], user: str, targets: Sequence[str], upper: str, work: str) -> dict[str, Any]:
    """Make the folder for a step's changes, with the attributes of the root below it, and look up what it needs.

    Returns ``uid``, ``gid``, ``groups`` and ``home`` of `user`; ``places``: where each mount target leads in the image;
    ``absent``: every part of these that the image lacks, deepest first.
    """
    view = View(trees)
    found = find_user(view, user)
    root = view.lstat("")
    os.mkdir(work, 0o755)
    os.mkdir(upper, 0o755)
    if root is not None:
        os.chown(upper, root.uid, root.gid)
        os.chmod(upper, root.mode)
    places = [view.resolve(target) for target in targets]
    absent = {part for place in places for part in _parts(place) if view.lstat(part) is None}
    return {
        "uid": found.uid,
        "gid": found.gid,
        "groups": list(found.groups),
        "home": found.home,
        "places": [f"/{place}" for place in places],
        "absent": sorted(absent, key=lambda part: -part.count("/")),
    }


def _parts(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(1, len(names) + 1)]


def finish(upper: str, absent: Sequence[str]) -> dict[str, Any]:
    """Take mount points that had to be made in the step's changes out of them again, and digest what is left.

    That happens where a layer of the image hides the stub layer: a removed path, or a folder made anew. What lies beside
    `upper` was the step's own, and goes.
    """
    root = os.path.realpath(upper)
    for part in absent:
        place = f"{root}/{part}"
        if os.path.realpath(os.path.dirname(place)) != os.path.dirname(place):
            continue  # the step put a symbolic link there: it may lead anywhere
        with suppress(OSError):
            if os.path.isdir(place) and not os.path.islink(place):
                os.rmdir(place)
            elif os.path.isfile(place) and os.lstat(place).st_size == 0:
                os.unlink(place)
    work, own = os.path.split(root)
    for entry in list(os.scandir(work)):
        if entry.is_dir(follow_symlinks=False):
            if entry.name != own:
                remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    return digest_tree(upper)
