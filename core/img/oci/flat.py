"""Snapshots as one flat filesystem: jobs in the sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from img.files.entry import Entry
from img.oci.diff import CHUNK, content
from img.oci.squash import squashed
from img.oci.tar import TarWriter


def tar_view(roots: Sequence[Sequence[Any]], epoch: int | None = None, *, fds: Sequence[int]) -> None:
    """Write merged filesystems as a tar to ``fds[0]``. `roots` has a row ``[folder, trees]`` for each; an empty folder is
    the archive's root. With `epoch`, a Unix time, that is the time of every file."""
    with os.fdopen(fds[0], "wb", buffering=CHUNK, closefd=False) as stream:
        writer = TarWriter(stream.write)
        for folder, trees in roots:
            if folder:
                writer.add(Entry(folder, "dir", 0o755, mtime=(epoch or 0) * 1_000_000_000))
            for entry in _files(trees):
                if epoch is not None:
                    entry = entry._replace(mtime=epoch * 1_000_000_000)
                writer.add(_below(folder, entry), content(entry) if entry.kind == "file" else ())
        writer.close()


def clash(roots: Sequence[Sequence[str]]) -> str:
    """The first path that more than one of `roots`, each a list of trees, has other than as a folder; else empty."""
    seen: dict[str, str] = {}
    for trees in roots:
        for entry in _files(trees):
            if entry.path in seen and (entry.kind, seen[entry.path]) != ("dir", "dir"):
                return entry.path
            seen[entry.path] = entry.kind
    return ""


def _below(folder: str, entry: Entry) -> Entry:
    if not folder:
        return entry
    link = f"{folder}/{entry.link}" if entry.kind == "hardlink" else entry.link
    return entry._replace(path=f"{folder}/{entry.path}" if entry.path else folder, link=link)


def _files(trees: Sequence[str]) -> Iterator[Entry]:
    for entry in squashed(trees):
        if entry.kind != "whiteout" and entry.path:
            yield entry._replace(opaque=False)
