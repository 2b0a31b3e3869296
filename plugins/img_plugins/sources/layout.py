"""An OCI image layout (image-layout.md) on this machine, as a folder or as a tar of one: reading single files of it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from img.errors import LayerError, SourceError
from img.oci.compress import decompressed, sniff
from img.ports import Host

CHUNK = 1 << 20


class Layout(Protocol):
    """Files by name; `open` raises `SourceError` for one that is not there."""

    def open(self, name: str) -> IO[bytes]: ...


def open_layout(host: Host, path: str) -> Layout:
    """The layout at `path`. Raises `SourceError` if there is none."""
    if os.path.isdir(path):
        layout: Layout = FolderLayout(Path(path))
    elif os.path.isfile(path):
        layout = TarLayout(host, path)
    else:
        raise SourceError(f"there is no OCI layout {path}", hint="oci-layout:// names a folder, or a tar of one")
    try:
        layout.open("oci-layout").close()
    except SourceError:
        raise SourceError(
            f"{path} is not an OCI layout: it has no file oci-layout", hint="img build -o type=oci writes one"
        ) from None
    return layout


class FolderLayout:
    """A layout as it stands. Links in it are followed: it is the user's own folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> IO[bytes]:
        try:
            return (self._path / name).open("rb")
        except OSError as error:
            raise SourceError(f"can't read {name} of the OCI layout {self._path}: {error.strerror}") from error


class TarLayout:
    """A layout in a tar. One that is compressed is unpacked once into a file of this run."""

    def __init__(self, host: Host, path: str) -> None:
        self._shown = path
        try:
            with open(path, "rb") as stream:
                packed = sniff(stream.read(6))
            self._path = os.fspath(_plain(host, path)) if packed else path
            with tarfile.open(self._path, "r:") as archive:
                members = [member for member in archive if member.isreg() and not member.issparse()]
        except (OSError, tarfile.TarError) as error:
            raise SourceError(f"{path} is not a tar with an OCI layout: {error}") from error
        self._places = {member.name.removeprefix("./"): (member.offset_data, member.size) for member in members}

    def open(self, name: str) -> IO[bytes]:
        place = self._places.get(name)
        if place is None:
            raise SourceError(f"the OCI layout {self._shown} has no {name}")
        return cast(IO[bytes], _Part(self._path, *place))


def _plain(host: Host, path: str) -> Path:
    place = host.store.scratch() / "layout.tar"
    try:
        with open(path, "rb") as stream, place.open("xb") as out:
            for data in decompressed(iter(lambda: stream.read(CHUNK), b"")):
                out.write(data)
    except LayerError as error:
        raise SourceError(f"{path} can't be unpacked: {error.message}") from error
    return place


class _Part(io.RawIOBase):
    """A stretch of a file."""

    def __init__(self, path: str, offset: int, size: int) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115  (closed with this)
        self._file.seek(offset)
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream's bytes in pieces."""
    return iter(lambda: stream.read(CHUNK), b"")


def skip(stream: IO[bytes], size: int) -> None:
    """Go to the byte `size` of a stream that stands at its beginning."""
    if stream.seekable():
        stream.seek(size)
        return
    while size and (piece := stream.read(min(size, CHUNK))):
        size -= len(piece)
