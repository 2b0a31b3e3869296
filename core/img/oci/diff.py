"""Trees and listings as layers: walking them, naming them by content, writing them as tar, making and removing trees.

The functions that take paths and return JSON are jobs: they run in the sandbox, where the owners are the image's own.
Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from img.errors import FileError, LayerError, StoreError
from img.files.entry import Entry, listing_digest
from img.files.listing import read_listing
from img.files.records import Records, unprivileged
from img.files.trees import scan, walk
from img.files.whiteouts import make_whiteout
from img.files.xattrs import OPAQUE, write_xattrs
from img.oci.tar import TarWriter

CHUNK = 1 << 20
SMALL = 64 << 10


# --- jobs ------------------------------------------------------------------------------------------------------


def digest_tree(tree: str) -> dict[str, Any]:
    """The content digest of the layer in `tree`, with the number of its entries and bytes."""
    count, size = 0, 0

    def counted() -> Iterator[Entry]:
        nonlocal count, size
        for entry in scan(tree):
            count += 1
            size += entry.size
            yield entry

    return {"id": listing_digest(counted()), "files": count, "bytes": size}


def tar_tree(tree: str, *, fds: Sequence[int]) -> None:
    """Write the layer in `tree` as a tar to ``fds[0]``."""
    _write_tar(walk(tree), fds[0])


def tar_listing(listing: str, *, fds: Sequence[int]) -> None:
    """Write the entries of a listing file as a tar to ``fds[0]``. Raises `FileError` if a file has changed."""
    _write_tar(read_listing(listing), fds[0])


def make_tree(listing: str, dest: str) -> None:
    """Make the tree that a listing file describes in the empty folder `dest`. Raises `FileError` if a file has
    changed since, `LayerError` if the disk refuses."""
    folders: list[Entry] = []
    records = Records() if unprivileged() else None
    for entry in read_listing(listing):
        if entry.kind == "socket":
            continue
        if records is not None:
            entry = _for_records(entry, records)
        place = f"{dest}/{entry.path}" if entry.path else dest
        try:
            _make(entry, place, dest)
        except OSError as error:
            raise LayerError(f"can't make {entry.path} for the step: {error.strerror}") from error
        if entry.kind == "dir":
            folders.append(entry)
    for entry in reversed(folders):
        os.utime(f"{dest}/{entry.path}" if entry.path else dest, ns=(entry.mtime, entry.mtime))
    if records is not None:
        records.save(dest)


def _for_records(entry: Entry, records: Records) -> Entry:
    """Record what can't be applied; returns what can."""
    if entry.kind == "hardlink":
        records.alias(entry.path, entry.link)
        return entry
    return records.apply(entry.path, entry)


def remove_tree(path: str) -> None:
    """Remove a folder and all below it, whoever owns it, without following links. Nothing there is fine. Raises `StoreError`
    naming what is another's."""
    if not os.path.lexists(path):
        return

    tried: set[tuple[str, Any]] = set()

    def again(function: Any, place: str, error: Any) -> None:
        """Once more, with the folder, and what it is in, opened."""
        if isinstance(error[1], FileNotFoundError):
            return
        try:
            if (place, function) in tried:
                raise error[1]
            tried.add((place, function))
            os.chmod(os.path.dirname(place), 0o700)
            if function in (os.unlink, os.rmdir):
                function(place)
                return
            if not os.path.islink(place):
                os.chmod(place, 0o700)
        except OSError as trouble:
            owner = os.lstat(place).st_uid if os.path.lexists(place) else os.geteuid()
            hint = f"build where the user has ids again, or as root: rm -r {path}"
            raise StoreError(f"can't remove {place}, which is of uid {owner}: {trouble.strerror}", hint=hint) from None
        shutil.rmtree(place, onerror=again)

    shutil.rmtree(path, onerror=again)


# --- writing ---------------------------------------------------------------------------------------------------


def _write_tar(entries: Iterable[Entry], out: int) -> None:
    with os.fdopen(out, "wb", buffering=CHUNK, closefd=False) as stream:
        writer = TarWriter(stream.write)
        for entry in entries:
            writer.add(entry, content(entry) if entry.kind == "file" else ())
        writer.close()


def content(entry: Entry) -> Iterator[bytes]:
    """The bytes of a file entry, from its `source`. Raises `FileError` unless they are the ones it was listed with:
    size and, where the entry has one, digest."""
    record = hashlib.sha256() if entry.digest else None
    count = 0
    try:
        file = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _changed(entry, error.strerror) from error
    try:
        while data := os.read(file, CHUNK if entry.size > SMALL else SMALL):
            count += len(data)
            if count > entry.size:
                raise _changed(entry, "it has grown")
            if record is not None:
                record.update(data)
            yield data
    finally:
        os.close(file)
    if count != entry.size:
        raise _changed(entry, "it has shrunk")
    if record is not None and record.hexdigest() != entry.digest[7:]:
        raise _changed(entry, "its content is another")


def _changed(entry: Entry, why: str | None) -> FileError:
    return FileError(f"{entry.source} changed during the build: {why}", hint="build again when nothing writes to it")


def _make(entry: Entry, place: str, dest: str) -> None:
    if entry.kind == "dir":
        _make_folder(entry, place)
    elif entry.kind == "hardlink":
        os.link(f"{dest}/{entry.link}", place, follow_symlinks=False)
    elif entry.kind == "file":
        _make_file(entry, place)
    else:
        make_node(entry, place)


def _make_folder(entry: Entry, place: str) -> None:
    if entry.path:
        os.mkdir(place, 0o700)
    os.chown(place, entry.uid, entry.gid)
    os.chmod(place, entry.mode)
    write_xattrs(place, entry.xattrs)
    if entry.opaque:
        os.setxattr(place, OPAQUE, b"y")


def _make_file(entry: Entry, place: str) -> None:
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for data in content(entry):
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
        os.fchown(file, entry.uid, entry.gid)
        os.fchmod(file, entry.mode)
        if entry.xattrs:
            write_xattrs(file, entry.xattrs)
        os.utime(file, ns=(entry.mtime, entry.mtime))
    finally:
        os.close(file)


def make_node(entry: Entry, place: str) -> None:
    """Make a symlink, fifo, device, socket or whiteout with its attributes at the free `place`."""
    if entry.kind == "symlink":
        os.symlink(entry.link, place)
    elif entry.kind == "fifo":
        os.mkfifo(place, 0o600)
    elif entry.kind == "whiteout":
        make_whiteout(place)
        return
    else:
        kind = {"char": stat.S_IFCHR, "block": stat.S_IFBLK}.get(entry.kind, stat.S_IFSOCK)
        os.mknod(place, kind | 0o600, os.makedev(*entry.device))
    os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "symlink":
        os.chmod(place, entry.mode)
    os.utime(place, ns=(entry.mtime, entry.mtime), follow_symlinks=False)
