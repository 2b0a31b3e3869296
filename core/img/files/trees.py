"""Walking the tree of one layer: every entry it holds, in a stable order."""

from __future__ import annotations

import os
from collections.abc import Iterator

from img.files.content import file_digest
from img.files.entry import Entry
from img.files.records import read_records, recorded
from img.files.view import entry_of


def walk(tree: str) -> Iterator[Entry]:
    """Every entry of the layer in `tree`, parents first, names in the order of their bytes. Hard links are found by
    inode: the first name holds the content, later ones link to it. Files have no digest yet."""
    rows = read_records(tree)
    links: dict[tuple[int, int], str] = {}
    stack: list[str] = [""]
    while stack:
        path = stack.pop()
        source = f"{tree}/{path}" if path else tree
        status = os.lstat(source)
        entry = recorded(entry_of(path, source, status), rows)
        if status.st_nlink > 1 and entry.kind != "dir":
            first = links.setdefault((status.st_dev, status.st_ino), path)
            if first != path and entry.kind != "whiteout":
                entry = entry._replace(kind="hardlink", link=first, size=0, xattrs=(), device=(0, 0))
        yield entry
        if entry.kind == "dir":
            below = sorted(os.listdir(source), key=os.fsencode, reverse=True)
            stack.extend(f"{path}/{name}" if path else name for name in below)


def scan(tree: str) -> Iterator[Entry]:
    """`walk`, with the digest of each file."""
    for entry in walk(tree):
        yield entry._replace(digest=file_digest(entry.source)) if entry.kind == "file" else entry
