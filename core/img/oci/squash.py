"""Several layers as one: what an instruction that takes more than one step leaves in the image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from img.files.entry import Entry
from img.files.trees import walk
from img.files.view import View
from img.oci.diff import CHUNK, content
from img.oci.tar import TarWriter


def squash_trees(trees: Sequence[str], *, fds: Sequence[int]) -> None:
    """The job: write the layers in `trees`, bottom up, as one tar to ``fds[0]``."""
    with os.fdopen(fds[0], "wb", buffering=CHUNK, closefd=False) as stream:
        writer = TarWriter(stream.write)
        for entry in squashed(trees):
            writer.add(entry, content(entry) if entry.kind == "file" else ())
        writer.close()


def squashed(trees: Sequence[str]) -> Iterator[Entry]:
    """The entries of one layer that does what `trees` do one after the other.

    Later entries win. A whiteout or an opaque mark is kept unless something of the group stands in its place: it may
    hide what lies below the group. Hard links are kept where the file they link to is in the result.
    """
    view = View(trees)
    whiteouts, opaque = _marks(trees)
    inodes: dict[tuple[int, int], str] = {}
    stack = [""]
    while stack:
        path = stack.pop()
        entry = view.lstat(path)
        if entry is None:
            if path in whiteouts:
                yield Entry(path, "whiteout")
            continue
        if entry.kind not in ("dir", "symlink"):
            status = os.lstat(entry.source)
            first = inodes.setdefault((status.st_dev, status.st_ino), path) if status.st_nlink > 1 else path
            if first != path:
                entry = entry._replace(kind="hardlink", link=first, size=0, xattrs=(), device=(0, 0))
        yield entry._replace(opaque=entry.kind == "dir" and (path in opaque or path in whiteouts))
        if entry.kind == "dir":
            inside = f"{path}/" if path else ""
            names = {*view.listdir(path), *_direct(whiteouts, inside)}
            stack.extend(inside + name for name in sorted(names, key=os.fsencode, reverse=True))


def _marks(trees: Sequence[str]) -> tuple[set[str], set[str]]:
    """Every path that some layer of the group hides, and every folder that some layer makes opaque."""
    whiteouts: set[str] = set()
    opaque: set[str] = set()
    for tree in trees:
        for entry in walk(tree):
            if entry.kind == "whiteout":
                whiteouts.add(entry.path)
            elif entry.opaque:
                opaque.add(entry.path)
    return whiteouts, opaque


def _direct(paths: set[str], inside: str) -> Iterator[str]:
    for path in paths:
        if path.startswith(inside) and "/" not in path[len(inside) :]:
            yield path[len(inside) :]
