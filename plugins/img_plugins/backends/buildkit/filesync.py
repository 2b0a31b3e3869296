"""Sending a folder: the sending side of fsutil's protocol (``moby.filesync.v1.FileSync/DiffCopy``).

We tell of every entry (PACKET_STAT, numbered from 0 by their order, an empty one at the end); the daemon asks for the bytes
of those that it does not have (PACKET_REQ) and gets them (PACKET_DATA, an empty one at the end of each); PACKET_FIN ends it
from both sides. Its requests are read beside, so that neither side ever waits for the other to listen.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from img.errors import FileError
from img.files.entry import Entry
from img.files.folder import FolderTree
from img_plugins.backends.buildkit.needed import Needed

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.api import fsutil_pb2 as fsutil

CHUNK = 1 << 16
KINDS = {"dir": 1 << 31, "symlink": 1 << 27, "fifo": 1 << 25, "char": 1 << 26 | 1 << 21, "block": 1 << 26}
"""Go's os.FileMode bits."""
BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def send(tree: FolderTree, needed: Needed, requests: Iterable[fsutil.Packet]) -> Iterator[fsutil.Packet]:
    """The packets that we say. Ends when the daemon has said that it is done. Raises `FileError`, which ends the call."""
    from img_plugins.backends.buildkit.api import fsutil_pb2 as fsutil

    asked: queue.SimpleQueue[fsutil.Packet | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, asked), name="filesync", daemon=True).start()
    sources: dict[int, Entry] = {}
    for number, entry in enumerate(_entries(tree, needed)):
        if entry.kind == "file":
            sources[number] = entry
        yield fsutil.Packet(type=fsutil.Packet.PACKET_STAT, stat=_stat(entry))
    yield fsutil.Packet(type=fsutil.Packet.PACKET_STAT)
    while (request := asked.get()) is not None and request.type == fsutil.Packet.PACKET_REQ:
        if request.ID not in sources:
            raise FileError(f"the daemon asks for the file number {request.ID}, which there is not")
        for data in _bytes(tree, sources[request.ID]):
            yield fsutil.Packet(type=fsutil.Packet.PACKET_DATA, ID=request.ID, data=data)
        yield fsutil.Packet(type=fsutil.Packet.PACKET_DATA, ID=request.ID)
    if request is not None and request.type == fsutil.Packet.PACKET_FIN:
        yield fsutil.Packet(type=fsutil.Packet.PACKET_FIN)


def _listen(requests: Iterable[fsutil.Packet], asked: queue.SimpleQueue[fsutil.Packet | None]) -> None:
    try:
        for request in requests:
            asked.put(request)
    except Exception:  # the call is over: grpcio says so by whatever it raises
        pass
    finally:
        asked.put(None)


def _entries(tree: FolderTree, needed: Needed) -> Iterator[Entry]:
    """Hard links are of the first name that is sent; sockets are nothing that an image could hold."""
    first: dict[tuple[int, int], str] = {}
    for entry in needed.entries():
        if entry.kind == "socket":
            continue
        if entry.kind == "file" and (inode := tree.identity(entry)) is not None:
            if inode in first:
                yield entry._replace(kind="hardlink", link=first[inode])
                continue
            first[inode] = entry.path
        yield entry


def _stat(entry: Entry) -> fsutil.Stat:
    from img_plugins.backends.buildkit.api import fsutil_pb2 as fsutil

    mode = entry.mode & 0o777 | KINDS.get(entry.kind, 0)
    for bit, go in BITS:
        mode |= go if entry.mode & bit else 0
    try:
        path, link = (os.fsencode(text).decode("utf-8") for text in (entry.path, entry.link))
    except UnicodeDecodeError as error:
        name = os.fsencode(entry.path).decode("utf-8", "replace")
        raise FileError(f"the name {name!r} is not UTF-8, which BuildKit's protocol needs", hint="ignore it") from error
    return fsutil.Stat(
        path=path,
        mode=mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size if entry.kind == "file" else len(link) if entry.kind == "symlink" else 0,
        modTime=entry.mtime,
        linkname=link,
        devmajor=entry.device[0],
        devminor=entry.device[1],
        xattrs=dict(entry.xattrs),
    )


def _bytes(tree: FolderTree, entry: Entry) -> Iterator[bytes]:
    """What is asked for may have become anything since it was told of."""
    try:
        with os.fdopen(tree.open(entry), "rb") as stream:
            while data := stream.read(CHUNK):
                yield data
    except OSError as error:
        raise FileError(f"can't read {entry.source}: {error.strerror}", hint="check its mode, or ignore it") from error
