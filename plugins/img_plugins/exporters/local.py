"""``type=local``: the root filesystem as a folder of this machine. Attributes: ``dest``.

As with docker, files belong to whoever runs img, unless that is root; device nodes are left out for an ordinary user. What
is there is overwritten, never followed if it is a link; what the image lacks stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from img.errors import LayerError, StoreError, UsageError
from img.files.entry import Entry
from img.oci.untar import Content, read_tar
from img.ports import Export, Exported, Host
from img.store.pipes import read_from
from img_plugins.exporters.assembled import check_attrs


class LocalExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns where it is."""
        check_attrs(attrs, "local", ("dest",))
        dest = attrs.get("dest", "")
        if not dest:
            raise UsageError("--output type=local needs dest=…")
        if len(exports) != 1:
            raise UsageError("type=local takes one platform", hint="use type=oci for several")
        trees = self._host.store.layers.trees(exports[0].snapshot)
        chunks = read_from(self._host.sandbox.call, "img_plugins.exporters.flat:tar_view", trees)
        try:
            root = Path(dest)
            root.mkdir(parents=True, exist_ok=True)
            _Writer(os.path.realpath(root)).write_all(read_tar(_reader(chunks)))
        except OSError as error:
            raise StoreError(
                f"can't write {error.filename or dest}: {error.strerror}", hint="check its owner and disk"
            ) from error
        return Exported(dest, {})


def _reader(chunks: Iterator[bytes]) -> Callable[[int], bytes]:
    """`read(n)` over an iterator of chunks."""
    pending = bytearray()

    def read(size: int) -> bytes:
        while len(pending) < size and (data := next(chunks, b"")):
            pending.extend(data)
        taken = bytes(pending[:size])
        del pending[:size]
        return taken

    return read


class _Writer:
    """Writes entries below a folder whose parents were all written, or checked, before."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._owner = os.geteuid() == 0
        self._folders: list[Entry] = []

    def write_all(self, members: Iterator[tuple[Entry, Content]]) -> None:
        """All members, then the times and modes of folders."""
        for entry, content in members:
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
