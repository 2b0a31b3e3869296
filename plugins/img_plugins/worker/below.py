"""The cgroup of a step's container: below the one that keeps the step's limits, which outlives it, so that what has become of
them can be read there when the runtime has removed its own."""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from typing import Any

from img.sandbox.limits import Kept


def below(step: dict[str, Any], kept: Kept) -> dict[str, Any]:
    """The step as its container has it: without limits of its own."""
    if kept.group is None:
        return {**step, "resources": {}, "below": True}
    name = os.path.basename(next(iter(kept.group.folders.values())))
    return {**step, "resources": {}, "below": True, "cgroup": f"{step.get('cgroup') or ''}/{name}"}


def sweep_cgroups(path: str) -> None:
    """Remove the cgroups of a container whose runtime had no chance to."""
    for place in (f"/sys/fs/cgroup{path}", *glob.glob(f"/sys/fs/cgroup/*{path}")):
        with suppress(OSError):
            os.rmdir(place)
