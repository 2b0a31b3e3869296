"""What is where in a filesystem, without the bytes of any file: enough to know where a COPY lands.

An *outline* of a layer is the list of its entries, from its table of contents (`img.oci.toc`), from its tree, or from a
recipe. An `Outline` is a stack of them, and of trees where there are any, merged as overlayfs merges layers. It is in
memory, so it is only made where a layer's bytes would have to be fetched otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from img.errors import FileError
from img.files.entry import Entry
from img.files.listing import read_listing
from img.files.trees import walk
from img.files.view import View

ROOT = Entry("", "dir", 0o755)
NAMED = ("etc/passwd", "etc/group")
CONTENT = "img.content"
LONGEST = 64 << 10
"""Bytes of a file whose content an outline has."""


def view_of(layers: Sequence[str]) -> View:
    """The view of layers, bottom up: folders are trees, files are outlines."""
    return View(layers) if all(map(os.path.isdir, layers)) else Outline(layers)


def entries_of(layer: str) -> Iterator[Entry]:
    """The entries of a tree, or of a listing."""
    return walk(layer) if os.path.isdir(layer) else read_listing(layer)


def outline_of(layer: str) -> Iterator[Entry]:
    """The outline of a tree or listing: no more of each entry than a COPY may have to know."""
    return map(brief, entries_of(layer))


def brief(entry: Entry) -> Entry:
    """An entry as outlines have it: folders and links whole, of the rest only what and where they are."""
    if entry.kind in ("dir", "symlink"):
        return entry._replace(source="", digest="")
    link = entry.link if entry.kind == "hardlink" else ""
    return Entry(entry.path, entry.kind, link=link, opaque=entry.opaque, xattrs=_content(entry))


def _content(entry: Entry) -> tuple[tuple[str, bytes], ...]:
    if entry.kind != "file" or entry.path not in NAMED or not entry.source:
        return ()
    try:
        with open(os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            data = file.read(LONGEST + 1)
    except OSError:
        return ()
    return ((CONTENT, data),) if len(data) <= LONGEST else ()


def tells(view: View, path: str) -> bool:
    """Whether the file at `path` can be read, or it is known that there is none."""
    place = view.resolve(path)
    entry = view.lstat(place)
    if entry is None or entry.kind != "file":
        return True
    try:
        os.close(view.open(place))
    except (FileError, OSError):
        return False
    return True


class _Node:
    """A path of the merged filesystem. `layer` is the number of the topmost layer that holds it."""

    __slots__ = ("below", "entry", "layer")

    def __init__(self, entry: Entry, layer: int) -> None:
        self.entry = entry
        self.layer = layer
        self.below: dict[str, _Node] = {}


class Outline(View):
    """See the module and `View`. Only files of trees and those with `CONTENT` can be opened."""

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__(())
        self._top = _Node(ROOT, 0)
        for number, layer in enumerate(layers):
            self._top.entry = ROOT
            self._lay(entries_of(layer), number)

    # --- the view ------------------------------------------------------------------------------------------

    def lstat(self, path: str) -> Entry | None:
        node = self._node(path)
        return node.entry if node is not None else None

    def locate(self, path: str) -> str | None:
        return None

    def listdir(self, path: str) -> list[str]:
        node = self._node(path)
        return sorted(node.below, key=os.fsencode) if node is not None else []

    def readlink(self, path: str) -> str:
        target = self._link(path)
        if target is None:
            raise FileError(f"there is no symbolic link /{path}")
        return target

    def open(self, path: str) -> int:
        node = self._node(path)
        if node is None or node.entry.kind != "file":
            raise FileError(f"there is no file /{path}")
        if (data := dict(node.entry.xattrs).get(CONTENT)) is not None:
            file = os.memfd_create("content", os.MFD_CLOEXEC)
            os.write(file, data)
            os.lseek(file, 0, os.SEEK_SET)
            return file
        if not node.entry.source:
            raise FileError(f"what is in /{path} is not known here")
        return os.open(node.entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _link(self, path: str) -> str | None:
        node = self._node(path)
        return node.entry.link if node is not None and node.entry.kind == "symlink" else None

    def _node(self, path: str) -> _Node | None:
        node: _Node | None = self._top
        for part in filter(None, path.split("/")):
            if node is None:
                return None
            node = node.below.get(part)
        return node

    # --- laying one layer over those below it ----------------------------------------------------------------

    def _lay(self, entries: Iterable[Entry], layer: int) -> None:
        folders: dict[str, _Node] = {}
        for entry in entries:
            if entry.kind == "whiteout" and entry.opaque:
                _empty(self._folder(entry.path, layer), layer)
                continue
            if not entry.path:
                self._top.entry = entry._replace(opaque=False)
                if entry.opaque:
                    _empty(self._top, layer)
                continue
            head, _, name = entry.path.rpartition("/")
            parent = folders.get(head)
            if parent is None or self._node(head) is not parent:
                parent = folders[head] = self._folder(head, layer)
            self._put(parent, name, entry, layer)

    def _folder(self, path: str, layer: int) -> _Node:
        """The folder that a layer means by `path`: links on the way are followed, and what is missing is made."""
        node, here = self._top, ""
        for part in filter(None, self.resolve(path).split("/")):
            here = f"{here}/{part}" if here else part
            below = node.below.get(part)
            if below is None or below.entry.kind != "dir":
                below = node.below[part] = _Node(ROOT._replace(path=here), layer)
            below.layer = layer
            node = below
        return node

    def _put(self, parent: _Node, name: str, entry: Entry, layer: int) -> None:
        there = parent.below.get(name)
        if entry.kind == "whiteout":
            if there is None:
                return
            if there.layer == layer:
                _empty(there, layer)
            else:
                del parent.below[name]
            return
        path = f"{parent.entry.path}/{name}" if parent.entry.path else name
        made = entry._replace(path=path, opaque=False)
        if entry.kind == "hardlink":
            made = self._linked(made)
        if made.kind == "dir" and there is not None and there.entry.kind == "dir":
            there.entry, there.layer = made, layer
            if entry.opaque:
                _empty(there, layer)
        else:
            parent.below[name] = _Node(made, layer)

    def _linked(self, entry: Entry) -> Entry:
        """What a hard link is: another name of what it links to."""
        target = self._node(self.resolve(entry.link, final=False))
        return Entry(entry.path, "file") if target is None else target.entry._replace(path=entry.path)


def _empty(node: _Node, layer: int) -> None:
    """Take out what lower layers hold below a folder."""
    for name, below in list(node.below.items()):
        if below.layer < layer:
            del node.below[name]
        else:
            _empty(below, layer)
