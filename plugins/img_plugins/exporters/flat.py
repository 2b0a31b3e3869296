"""A snapshot as one flat filesystem: jobs in the sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from img.files.entry import Entry
from img.oci.diff import CHUNK, content
from img.oci.squash import squashed
from img.oci.tar import TarWriter


def tar_view(trees: Sequence[str], *, fds: Sequence[int]) -> None:
    """Write the merged filesystem of `trees` as a tar to ``fds[0]``."""
    with os.fdopen(fds[0], "wb", buffering=CHUNK, closefd=False) as stream:
        writer = TarWriter(stream.write)
        for entry in _files(trees):
            writer.add(entry, content(entry) if entry.kind == "file" else ())
        writer.close()


def _files(trees: Sequence[str]) -> Iterator[Entry]:
    for entry in squashed(trees):
        if entry.kind != "whiteout" and entry.path:
            yield entry._replace(opaque=False)
