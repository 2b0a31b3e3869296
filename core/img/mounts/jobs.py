"""The work on cache mounts that runs in the sandbox, where the owners are the image's own. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator

from img.errors import FileError
from img.files.entry import Entry
from img.files.listing import write_listing
from img.files.owners import Owners
from img.files.records import read_records
from img.files.trees import scan

KINDS = ("file", "dir", "symlink", "fifo")


def scan_mount(place: str, listing: str) -> None:
    """Write the folder's entries to the new file `listing`, files with their digests. Hard links become files with the
    same content; devices and sockets are left out. Raises `FileError` if something changes meanwhile."""
    if os.path.exists(listing):
        os.unlink(listing)
    try:
        write_listing(listing, _plain(place))
    except OSError as error:
        raise FileError(f"{error.filename} changed while it was read: {error.strerror}") from error


def _plain(place: str) -> Iterator[Entry]:
    files: dict[str, Entry] = {}
    for entry in scan(place):
        if entry.kind == "hardlink" and entry.link in files:
            first = files[entry.link]
            entry = first._replace(path=entry.path)
        elif entry.kind == "file" and os.lstat(entry.source).st_nlink > 1:
            files[entry.path] = entry
        if entry.kind in KINDS:
            yield entry


def move(source: str, place: str) -> None:
    """Move a finished folder to its place. A recorded tree, which `source` is where there is nobody to give files to, gets
    the modes that it has records of, as its files are to be used."""
    owners = Owners.read(source)
    for path, row in (read_records(source) or {}).items():
        name = f"{source}/{path}" if path else source
        if row[2] is not None and not os.path.islink(name):
            os.chmod(name, row[2])
    if owners.paths:
        owners.save(place)
    os.rename(source, place)
