"""Archives of images, read once from a stream that is never trusted: docker's, old and new, and layouts as tar.

Members may come in any order, so their bytes are spooled into a folder of the store's tmp under numbers, hashed on the way;
names from the archive never become names on disk. What ``manifest.json`` or ``index.json`` then ask for is looked up among
them.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from img.errors import LayerError
from img.files.entry import Entry
from img.oci.compress import decompressed
from img.oci.layout import blob_path
from img.oci.spec import MAX_DOCUMENT, Descriptor
from img.oci.untar import Content, from_chunks, read_tar
from img.store.blobs import disk_error

MEMBERS = 1 << 14
"""Members at most: an image has three for each layer."""
LINKS = 8


class Member(NamedTuple):
    """A file of the archive: where its bytes are, and what they are."""

    path: Path
    digest: str
    size: int


class Archive:
    """A spooled archive: a `img.images.provider.Provider`, by digest."""

    def __init__(self, where: str, files: Mapping[str, Member], links: Mapping[str, str]) -> None:
        self.where = where
        self._files = dict(files)
        self._links = dict(links)
        self._blobs = {member.digest: member for member in files.values()}

    def has(self, name: str) -> bool:
        return name in self._files

    def holds(self, digest: str) -> bool:
        """Whether a blob is there, under whatever name."""
        path = blob_path(digest)
        return path in self._files or path in self._links or digest in self._blobs

    def member(self, name: str, asker: str) -> Member:
        """The file `name`, links followed inside the archive. Raises `LayerError` naming who asked for it."""
        path = name
        for _ in range(LINKS):
            if path in self._files:
                return self._files[path]
            if path not in self._links:
                break
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), self._links[path]))
            if path.startswith(("/", "..")):
                raise LayerError(f"{self.where}: {name} is a link out of the archive")
        raise LayerError(f"{self.where}: {asker} names {name!r}, which is not there", hint="the archive is not whole")

    def document(self, name: str, asker: str = "the archive") -> bytes:
        """A small file, whole. Raises `LayerError`."""
        member = self.member(name, asker)
        if member.size > MAX_DOCUMENT:
            raise LayerError(f"{self.where}: {name} has {member.size} bytes, {MAX_DOCUMENT} are allowed")
        return member.path.read_bytes()

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """See `img.images.provider.Provider`."""
        path = blob_path(descriptor.digest)
        if path not in self._files and path not in self._links and descriptor.digest in self._blobs:
            return chunks_of(self._blobs[descriptor.digest])
        return chunks_of(self.member(path, "a manifest"))


def chunks_of(member: Member) -> Iterator[bytes]:
    """A member's bytes."""
    with member.path.open("rb") as stream:
        while data := stream.read(1 << 20):
            yield data


def spool(where: str, stream: Iterable[bytes], folder: Path) -> Archive:
    """Read a tar, compressed or not, to its end; files go to `folder`. Raises `LayerError` for whatever an archive of
    images can't hold, and for one that is cut short."""
    files: dict[str, Member] = {}
    links: dict[str, str] = {}
    plain = decompressed(stream)
    try:
        for number, (entry, content) in enumerate(read_tar(from_chunks(plain))):
            if number >= MEMBERS:
                raise LayerError(f"more than {MEMBERS} members")
            name = _name(entry)
            if entry.kind == "symlink":
                links[name] = entry.link
            elif entry.kind in ("file", "hardlink"):
                member = _member(entry, content, folder / str(number), files)
                if files.setdefault(name, member).digest != member.digest:
                    raise LayerError(f"it holds {name!r} twice, with different bytes")
            elif entry.kind != "dir":
                raise LayerError(f"it holds {name!r}, a {entry.kind}, which no image needs")
        for _ in plain:
            pass
    except LayerError as error:
        raise LayerError(f"{where} is not an archive of images: {error.message}", hint=error.hint) from error
    if not files:
        raise LayerError(f"{where} is empty, or no tar", hint="give what docker save or img save wrote")
    return Archive(where, files, links)


def _name(entry: Entry) -> str:
    name = entry.path.removeprefix("./").rstrip("/")
    if name.startswith("/") or ".." in name.split("/"):
        raise LayerError(f"it holds {entry.path!r}, which lies outside of it")
    return name


def _member(entry: Entry, content: Content, path: Path, files: Mapping[str, Member]) -> Member:
    if entry.kind == "hardlink":
        target = entry.link.removeprefix("./")
        if target not in files:
            raise LayerError(f"{entry.path!r} is a hard link to {entry.link!r}, which is not before it")
        return files[target]
    record = hashlib.sha256()
    try:
        with path.open("xb") as out:
            for data in content.chunks():
                record.update(data)
                out.write(data)
    except OSError as error:
        raise disk_error(error, path.parent) from error
    return Member(path, "sha256:" + record.hexdigest(), entry.size)


def rows_of(archive: Archive) -> list[dict[str, Any]]:
    """The rows of docker's ``manifest.json``, checked. Raises `LayerError`."""
    import json

    try:
        rows = json.loads(archive.document("manifest.json"))
    except (ValueError, RecursionError) as error:
        raise LayerError(f"{archive.where}: manifest.json is not JSON: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise LayerError(f"{archive.where}: manifest.json is not a list of images")
    for row in rows:
        fine = isinstance(row, dict) and isinstance(row.get("Config"), str)
        layers, tags = (row.get("Layers"), row.get("RepoTags") or []) if fine else (None, None)
        if not isinstance(layers, list) or not isinstance(tags, list) or not all(map(_text, (*layers, *tags))):
            raise LayerError(f"{archive.where}: manifest.json needs Config, RepoTags and Layers for each image")
    return rows


def _text(value: object) -> bool:
    return isinstance(value, str)
