"""A filesystem as a folder of this machine, from the tar of it.

Files belong to whoever runs img, unless that is root; device nodes are left out for an ordinary user. What is there is
overwritten, never followed if it is a link; what the filesystem lacks stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from img.errors import LayerError, StoreError
from img.files.entry import Entry
from img.oci.untar import Content, from_chunks, read_tar


def write_files(root: str, tar: Iterable[bytes]) -> set[str]:
    """Write the members of `tar`, parents first, below the folder `root`, which is made if need be; returns their paths.
    Raises `StoreError` if the disk refuses, `LayerError` for a folder where a file has to go."""
    try:
        os.makedirs(root, exist_ok=True)
        writer = _Writer(os.path.realpath(root))
        writer.write_all(read_tar(from_chunks(tar)))
    except OSError as error:
        raise StoreError(
            f"can't write {error.filename or root}: {error.strerror}", hint="check its owner and disk"
        ) from error
    return writer.paths


def remove_others(root: str, paths: set[str]) -> None:
    """Remove everything below `root` that is not among `paths`, relative to it. Links are not followed, and the folders
    that stay keep their times. Raises `StoreError`."""
    try:
        stack = [""]
        while stack:
            inside = stack.pop()
            place = f"{root}/{inside}"
            times = os.stat(place)
            with os.scandir(place) as files:
                below = list(files)
            for file in below:
                path = f"{inside}/{file.name}" if inside else file.name
                if path not in paths:
                    _remove(file)
                elif file.is_dir(follow_symlinks=False):
                    stack.append(path)
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    except OSError as error:
        raise StoreError(f"can't remove {error.filename}: {error.strerror}", hint="check its owner") from error


def _remove(file: os.DirEntry[str]) -> None:
    import shutil

    if file.is_dir(follow_symlinks=False):
        shutil.rmtree(file.path)
    else:
        os.unlink(file.path)


class _Writer:
    """Writes entries below a folder whose parents were all written, or checked, before."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._owner = os.geteuid() == 0
        self._folders: list[Entry] = []
        self.paths: set[str] = set()

    def write_all(self, members: Iterator[tuple[Entry, Content]]) -> None:
        """All members, then the times and modes of folders."""
        for entry, content in members:
            self.paths.add(entry.path.rstrip("/"))
            self._write(entry, content)
        for entry in reversed(self._folders):
            place = f"{self._root}/{entry.path.rstrip('/')}"
            os.chmod(place, entry.mode)
            os.utime(place, ns=(entry.mtime, entry.mtime))

    def _write(self, entry: Entry, content: Content) -> None:
        place = f"{self._root}/{entry.path.rstrip('/')}"
        there = os.path.islink(place) or not os.path.isdir(place)
        if entry.kind == "dir":
            if os.path.lexists(place) and there:
                os.unlink(place)
            os.makedirs(place, 0o755, exist_ok=True)
            self._folders.append(entry)
        else:
            if os.path.lexists(place):
                if not there:
                    raise LayerError(f"{place} is a folder, the image has a file there", hint="remove it first")
                os.unlink(place)
            if not self._make(entry, place, content):
                return
        self._attributes(entry, place)

    def _make(self, entry: Entry, place: str, content: Content) -> bool:
        if entry.kind == "file":
            with open(place, "xb") as out:
                for data in content.chunks():
                    out.write(data)
        elif entry.kind == "hardlink":
            os.link(f"{self._root}/{entry.link}", place, follow_symlinks=False)
        elif entry.kind == "symlink":
            os.symlink(entry.link, place)
        elif entry.kind == "fifo":
            os.mkfifo(place)
        elif self._owner:
            kind = 0o020000 if entry.kind == "char" else 0o060000
            os.mknod(place, kind | entry.mode, os.makedev(*entry.device))
        else:
            return False
        return True

    def _attributes(self, entry: Entry, place: str) -> None:
        if entry.kind == "hardlink":
            return
        if self._owner:
            os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind not in ("symlink", "dir"):
            os.chmod(place, entry.mode)
        if entry.kind != "dir":
            os.utime(place, ns=(entry.mtime, entry.mtime), follow_symlinks=False)
