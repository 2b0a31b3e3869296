"""Removing folders of the store."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from img.ports import Sandbox


class Engine(Protocol):
    @property
    def sandbox(self) -> Sandbox: ...


def discard(path: Path, engine: Engine) -> None:
    """Remove a folder and all below it. What the sandbox made there may belong to its users: then it has to help. A run that
    was killed may have left something mounted, where a backend mounts in the machine's own namespace."""
    try:
        _remove(path)
    except OSError:
        if _unmount_below(path):
            _remove(path)
        else:
            engine.sandbox.call("img.oci.diff:remove_tree", os.fspath(path))


def _remove(path: Path) -> None:
    if any(path.iterdir()):
        import shutil

        shutil.rmtree(path)
    else:
        path.rmdir()


def _unmount_below(path: Path) -> bool:
    """Detach all mounts below a folder (proc(5), mountinfo); whether there were any that could be."""
    from img.sandbox import libc

    top = os.fsencode(os.path.realpath(path)) + b"/"
    done = False
    with open("/proc/self/mountinfo", "rb") as lines:
        places = [line.split()[4] for line in lines]
    for place in sorted((_unescaped(place) for place in places), reverse=True):
        if place.startswith(top):
            try:
                libc.umount(os.fsdecode(place), libc.MNT_DETACH)
                done = True
            except OSError:
                return False
    return done


def _unescaped(text: bytes) -> bytes:
    """A path of mountinfo, which has spaces and such as octal numbers."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match[1], 8),)), text)
