"""Where a COPY puts what it took: the entries of the new layer, over a base that is only looked at.

As BuildKit has it: a destination that ends in "/" or is a folder gets items by their names; a folder's content goes
into the destination itself; missing folders are made 0755 or with an octal ``--chmod``, and the owner of ``--chown``;
folders that are there keep what they are, but those inside a copied folder get its attributes; nothing to copy makes
nothing. Items are placed one after the other, so that the last of several files that a wildcard matched is the one at a
destination that is no folder. Each layer stands alone: it holds every folder on the way with its attributes, as an
overlay's upper folder would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from img.errors import FileError
from img.files.entry import Entry
from img.files.modes import Mode
from img.files.select import Item
from img.files.view import View

Owner = tuple[int, int] | None
"""Whose everything copied is; None keeps the source's."""


class Placing(NamedTuple):
    """How items are placed."""

    dest: str
    owner: Owner
    mode: Mode | None
    folder: bool
    """The destination is a folder whatever is there: it was written with a "/"."""
    sources: int = 1
    """How many paths were named; a second one that would replace the first's file is an error."""
    parents: bool = False
    """Items keep the folders they had (``--parents``): each goes below the destination, by its whole name."""

    def make(self, draft: LayerDraft, path: str) -> None:
        """See to it that `path` is a folder, with the owner and mode of what is copied if it has to be made."""
        draft.folders(path, self.owner, 0o755 if self.mode is None else self.mode.made)


class LayerDraft:
    """The entries of one layer in the making, by path."""

    def __init__(self, base: View, mtime: int) -> None:
        self.base = base
        self.entries: dict[str, Entry] = {}
        self._mtime = mtime
        self._root()

    def _root(self) -> None:
        root = self.base.lstat("")
        self.entries[""] = (
            Entry("", "dir", 0o755, mtime=self._mtime) if root is None else root._replace(opaque=False, source="")
        )

    def lstat(self, path: str) -> Entry | None:
        """What is at `path` so far."""
        return self.entries.get(path) or self.base.lstat(path)

    def folders(self, path: str, owner: Owner, mode: int = 0o755) -> None:
        """See to it that `path`, whose links are resolved, is a folder; what is missing is made."""
        here = ""
        for part in path.split("/") if path else ():
            here = f"{here}/{part}" if here else part
            if here in self.entries and self.entries[here].kind == "dir":
                continue
            found = self.lstat(here)
            if found is None:
                uid, gid = owner or (0, 0)
                self.entries[here] = Entry(here, "dir", mode, uid, gid, mtime=self._mtime)
            elif found.kind == "dir":
                self.entries[here] = found._replace(opaque=False, source="")
            else:
                raise FileError(f"/{here} is a file where a folder is needed", hint="choose another destination")

    def put(self, entry: Entry) -> None:
        """Put one entry; its folder must be there. Raises `FileError` where it does not fit."""
        found = self.lstat(entry.path)
        if found is not None and found.kind == "dir" and entry.kind != "dir":
            raise FileError(
                f"/{entry.path} is a folder, a file can't take its place",
                hint="end the destination with a / to copy into it",
            )
        if found is not None and found.kind != "dir" and entry.kind == "dir":
            raise FileError(f"/{entry.path} is a {found.kind}, a folder can't take its place")
        self.entries[entry.path] = entry

    def finished(self) -> list[Entry]:
        """All entries, in the order of a layer: parents first, hard links after what they link to."""
        entries = [self.entries[path] for path in sorted(self.entries, key=lambda path: path.split("/"))]
        return [e for e in entries if e.kind != "hardlink"] + [e for e in entries if e.kind == "hardlink"]


def newest(items: Iterable[Item]) -> int:
    """The latest modification time among items: that of the folders made for them."""
    return max((entry.mtime for item in items for entry in item.entries), default=0)


def place(base: View, items: Sequence[Item], placing: Placing) -> list[Entry]:
    """The new layer's entries. Raises `FileError`."""
    draft = LayerDraft(base, newest(items))
    place_onto(draft, items, placing)
    return draft.finished()


def place_onto(draft: LayerDraft, items: Iterable[Item], placing: Placing) -> None:
    """Place items one after the other into a layer that may hold something already. Raises `FileError`."""
    dest = draft.base.resolve(placing.dest)
    for item in items:
        _place_item(draft, item, dest, placing)


def retimed(entries: Sequence[Entry], base: View, mtime: int | None) -> list[Entry]:
    """Entries with what is new among them modified at `mtime` (nanoseconds), if that is given: folders of the base
    that only lie on the way keep their own time."""
    if mtime is None:
        return list(entries)
    return [entry if _is_way(entry, base.lstat(entry.path)) else entry._replace(mtime=mtime) for entry in entries]


def _is_way(entry: Entry, below: Entry | None) -> bool:
    return below is not None and entry == below._replace(opaque=False, source="")


def _place_item(draft: LayerDraft, item: Item, dest: str, placing: Placing) -> None:
    top = item.entries[0]
    there = draft.lstat(dest)
    if placing.parents:
        _place_parents(draft, item, dest, placing)
        target = _join(dest, item.name)
    elif top.kind == "dir":
        target = dest
    elif placing.folder or (there is not None and there.kind == "dir"):
        placing.make(draft, dest)
        target = _join(dest, item.name)
    else:
        target = dest
        if placing.sources > 1 and target in draft.entries:
            raise FileError(
                f"several files would become /{target}, each taking the place of the one before",
                hint="end the destination with a / to copy them into a folder",
            )
    adjust = _adjuster(placing)
    if top.kind == "dir" and not (placing.parents and item.name):
        placing.make(draft, target)
    else:
        placing.make(draft, target.rpartition("/")[0])
        draft.put(_at(adjust(top), target, target))
    for entry in item.entries[1:]:
        draft.put(_at(adjust(entry), _join(target, entry.path), target))


def _place_parents(draft: LayerDraft, item: Item, dest: str, placing: Placing) -> None:
    placing.make(draft, dest)
    adjust = _adjuster(placing)
    for folder in item.folders:
        draft.put(_at(adjust(folder), _join(dest, folder.path), dest))


def _adjuster(placing: Placing) -> Callable[[Entry], Entry]:
    """What gives an entry the owner and mode of ``--chown`` and ``--chmod``."""

    def adjust(entry: Entry) -> Entry:
        if placing.owner is not None:
            entry = entry._replace(uid=placing.owner[0], gid=placing.owner[1])
        if placing.mode is not None and entry.kind not in ("symlink", "hardlink"):
            entry = entry._replace(mode=placing.mode.applied(entry.mode, entry.kind == "dir"))
        return entry

    return adjust


def _at(entry: Entry, path: str, top: str) -> Entry:
    link = _join(top, entry.link) if entry.kind == "hardlink" else entry.link
    return entry._replace(path=path, link=link, opaque=False, source=entry.source if entry.kind == "file" else "")


def _join(folder: str, name: str) -> str:
    return "/".join(filter(None, (folder, name)))
