"""One file of a tree as a value, and the content digest of a list of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

Kind = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo", "socket", "whiteout"]


class Entry(NamedTuple):
    """One path of a tree or layer.

    Names are what `os.fsdecode` makes of the bytes on disk (UTF-8 with ``surrogateescape``), so that every name
    survives. `path` is relative to the root, "/"-separated, without leading "/", "." or ".."; the root is "".
    """

    path: str
    kind: Kind
    mode: int = 0o644
    """Permission bits with setuid, setgid and sticky: 0 to 0o7777."""
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes of content; 0 for everything but a file."""
    mtime: int = 0
    """Modification time in nanoseconds since 1970; never part of identity."""
    link: str = ""
    """A symlink's target as it stands, or the `path` of the entry that a hard link shares its content with."""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Extended attributes that belong to the image, sorted by name (`security.capability`, `user.*`)."""
    digest: str = ""
    """Content of a file, as a digest; empty until somebody needed it."""
    opaque: bool = False
    """For a dir in a layer: what lower layers hold below this path is hidden (OCI layer.md, "Opaque Whiteout")."""
    source: str = ""
    """Absolute path on this machine where a file's bytes can be read; never part of identity."""


def entry_digest(entry: Entry) -> bytes:
    """32 bytes that identify `entry` without its path: kind, mode, owner, xattrs, link, device and content."""
    parts = [
        entry.kind,
        f"{entry.mode:o}",
        str(entry.uid),
        str(entry.gid),
        entry.link,
        f"{entry.device[0]}:{entry.device[1]}",
        entry.digest,
        "opaque" if entry.opaque else "",
    ]
    record = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        record.update(b"%d:" % len(data))
        record.update(data)
    for name, value in entry.xattrs:
        key = name.encode("utf-8", "surrogateescape")
        record.update(b"x%d:%d:" % (len(key), len(value)))
        record.update(key)
        record.update(value)
    return record.digest()


def listing_digest(entries: Iterable[Entry]) -> str:
    """The content digest of a listing: over path and `entry_digest` of each, sorted by the bytes of the path.

    Two trees have one digest exactly if they differ in nothing but modification times. Every file entry must
    carry its `digest`.
    """
    record = hashlib.sha256(b"img.listing.v1\0")
    for name, entry in sorted((entry.path.encode("utf-8", "surrogateescape"), entry) for entry in entries):
        record.update(b"%d:" % len(name))
        record.update(name)
        record.update(entry_digest(entry))
    return "sha256:" + record.hexdigest()
