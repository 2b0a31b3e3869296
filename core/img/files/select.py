"""What a COPY takes: the files its paths name in a tree, and their content digest.

As BuildKit has it: a path is followed through links, also at its end; ``..`` and a leading "/" stay inside; a wildcard
that matches nothing is fine, a plain path that is not there is an error; a folder stands for what is in it; links
inside a folder are copied as they are; files that are one inode stay one. ``**`` stands for any folders with
``--parents``, and is ``*`` without. Excludes are relative to the folder that is copied (with ``--parents``, to where the
path is cut), as an ignore file's patterns are to its context; what a wildcard matched is held against them by its name.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from img.digest import Encodable, digest_of
from img.errors import FileError
from img.files.content import file_digest
from img.files.entry import Entry, listing_digest
from img.files.folder import FolderTree, Index
from img.files.patterns import Ignore, glob, is_wild
from img.files.view import View


class Tree(Protocol):
    """What is selected from."""

    def lstat(self, path: str) -> Entry | None: ...

    def children(self, path: str) -> Iterator[Entry]: ...

    def resolve(self, path: str) -> str: ...

    def ignored(self, path: str) -> bool: ...

    def identity(self, entry: Entry) -> tuple[int, int] | None: ...

    def digested(self, entry: Entry) -> Entry: ...


class SnapshotTree:
    """A snapshot's `View` as a `Tree`."""

    def __init__(self, trees: Sequence[str]) -> None:
        self._view = View(trees)

    def lstat(self, path: str) -> Entry | None:
        entry = self._view.lstat(path)
        return None if entry is None else entry._replace(opaque=False)

    def children(self, path: str) -> Iterator[Entry]:
        for name in self._view.listdir(path):
            entry = self.lstat(f"{path}/{name}" if path else name)
            if entry is not None:
                yield entry

    def resolve(self, path: str) -> str:
        return self._view.resolve(path)

    def ignored(self, path: str) -> bool:
        return False

    def identity(self, entry: Entry) -> tuple[int, int] | None:
        status = os.lstat(entry.source)
        return (status.st_dev, status.st_ino) if status.st_nlink > 1 else None

    def digested(self, entry: Entry) -> Entry:
        return entry._replace(digest=file_digest(entry.source))


class Selection(NamedTuple):
    """The part of a Copy that says what is taken."""

    paths: tuple[str, ...]
    excludes: tuple[str, ...] = ()
    parents: bool = False
    literal: bool = False

    @classmethod
    def of(cls, node: Any) -> Selection:
        """Of an `img.ir.nodes.Copy`."""
        return cls(tuple(node.paths), tuple(node.excludes), node.parents, node.literal)

    def to_json(self) -> list[Any]:
        return [list(self.paths), list(self.excludes), self.parents, self.literal]

    @classmethod
    def from_json(cls, document: Sequence[Any]) -> Selection:
        return cls(tuple(document[0]), tuple(document[1]), document[2], document[3])


class Item(NamedTuple):
    """One thing that was matched. `name` is where it lands if the destination is a folder; `entries` are it and what
    is below it, with paths relative to it (its own is ""); `folders` are those of ``--parents``, from the top."""

    name: str
    entries: list[Entry]
    folders: list[Entry]


def select(tree: Tree, selection: Selection) -> list[Item]:
    """Every item, in the order of the paths and of the names they match; files have digests. Raises `FileError`."""
    inodes: dict[tuple[int, int], tuple[str, str]] = {}
    excludes = Ignore([_cleaned(pattern) for pattern in selection.excludes])
    items: list[Item] = []
    for path in selection.paths:
        for found, pivot in _matches(tree, path, selection):
            item = _item(tree, found, pivot, selection, excludes, inodes, not selection.literal and is_wild(path))
            if item is not None:
                items.append(item)
    return items


def items_digest(items: Iterable[Item]) -> str:
    """The content digest of a selection: what lands where, never when it was modified."""
    parts: list[Encodable] = [
        [item.name, listing_digest(item.entries), listing_digest(item.folders) if item.folders else ""]
        for item in items
    ]
    return digest_of(["selection", parts])


def folder_digest(root: str, ignore: Sequence[str], index: Index, selection: Selection) -> str:
    """`items_digest` of a selection from a local folder; what was read is kept in the stat index."""
    tree = FolderTree(root, ignore, index)
    digest = items_digest(select(tree, selection))
    tree.save()
    return digest


def _matches(tree: Tree, path: str, selection: Selection) -> list[tuple[str, str]]:
    """(path, the part of it that ``--parents`` drops) of everything one path of a COPY names."""
    if selection.parents:
        return _below_pivot(tree, path)
    whole = _clamp(path)
    if selection.literal or not is_wild(whole):
        if tree.lstat(tree.resolve(whole)) is None:
            raise _missing(tree, path, whole)
        return [(whole, "")]
    return [(found, "") for found in _expand(tree, "", whole.split("/"))]


def _below_pivot(tree: Tree, path: str) -> list[tuple[str, str]]:
    """The same with ``--parents``: links are followed up to the first ``/./`` only."""
    head, cut, rest = path.partition("/./")
    inner = _clamp(rest if cut else path)
    if cut and is_wild(head):
        bases = [tree.resolve(found) for found in _expand(tree, "", _clamp(head).split("/"))]
    else:
        bases = [tree.resolve(_clamp(head)) if cut else ""]
    if is_wild(head if cut else "") or is_wild(inner):
        parts = inner.split("/") if inner else ["*"]
        return [(found, base) for base in bases for found in dict.fromkeys(_below(tree, base, parts))]
    base = bases[0]
    whole = "/".join(filter(None, (base, inner)))
    above = whole.rpartition("/")[0]
    if tree.resolve(above) != above or tree.lstat(whole) is None:
        raise _missing(tree, path, whole)
    return [(whole, base)]


def _clamp(path: str) -> str:
    """A path inside the root: ``..`` stops there."""
    clean = posixpath.normpath("/" + path)
    return clean.lstrip("/")


def _expand(tree: Tree, folder: str, parts: list[str]) -> Iterator[str]:
    """Every path below `folder` that the parts of a pattern match, through links too."""
    part, rest = parts[0], parts[1:]
    if is_wild(part):
        rule = glob(part)
        candidates = [name for name in map(_base, _children(tree, tree.resolve(folder))) if rule.match(name)]
    else:
        candidates = [part]
    for name in candidates:
        path = f"{folder}/{name}" if folder else name
        if rest:
            yield from _expand(tree, path, rest)
        elif tree.lstat(tree.resolve(path)) is not None:
            yield path
        elif is_wild(part):
            raise FileError(f"{path!r} is a link to nothing that can be copied", hint="name the files to copy")


def _below(tree: Tree, folder: str, parts: list[str]) -> Iterator[str]:
    """Every path below `folder` that the parts of a pattern match; ``**`` is any folders, links are not followed."""
    part, rest = parts[0], parts[1:]
    if part == "**" and rest:
        for here in _folders_below(tree, folder):
            yield from _below(tree, here, rest)
        return
    rule = glob(part)
    for entry in _children(tree, folder):
        if rule.match(_base(entry)) is None:
            continue
        if not rest:
            yield entry.path
        elif entry.kind == "dir":
            yield from _below(tree, entry.path, rest)


def _folders_below(tree: Tree, folder: str) -> Iterator[str]:
    """`folder` and every folder in it, at any depth."""
    stack = [folder]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(entry.path for entry in reversed(_children(tree, here)) if entry.kind == "dir")


def _children(tree: Tree, folder: str) -> list[Entry]:
    """What is in `folder`; nothing if it is none."""
    top = tree.lstat(folder)
    return list(tree.children(folder)) if top is not None and top.kind == "dir" else []


def _base(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


def _item(
    tree: Tree,
    path: str,
    pivot: str,
    selection: Selection,
    excludes: Ignore,
    inodes: dict[tuple[int, int], tuple[str, str]],
    wild: bool,
) -> Item | None:
    found = path if selection.parents else tree.resolve(path)
    top = tree.lstat(found)
    if top is None or top.kind == "socket":
        return None
    inner = path[len(pivot) :].lstrip("/")
    name = inner if selection.parents else path.rpartition("/")[2]
    above = inner if selection.parents else ""
    if excludes and name and (selection.parents or wild) and _drops(tree, excludes, name, top):
        return None
    entries: list[Entry] = []
    stack = [top]
    while stack:
        entry = stack.pop()
        relative = entry.path[len(found) :].lstrip("/")
        if entry.kind == "dir":
            stack.extend(reversed(_kept(tree, excludes, entry, "/".join(filter(None, (above, relative))))))
        entries.append(_content(tree, entry, relative, name, inodes))
    return Item(name, entries, _folders(tree, path, pivot) if selection.parents else [])


def _cleaned(pattern: str) -> str:
    """An exclude as `Ignore` takes it."""
    body = pattern.removeprefix("!")
    return pattern[: len(pattern) - len(body)] + posixpath.normpath(body).lstrip("/")


def _kept(tree: Tree, excludes: Ignore, folder: Entry, path: str) -> list[Entry]:
    """What is copied of a folder that the excludes know as `path`."""
    inner = (child for child in tree.children(folder.path) if child.kind != "socket")
    if not excludes:
        return list(inner)
    return [child for child in inner if not _drops(tree, excludes, f"{path}/{_base(child)}".lstrip("/"), child)]


def _drops(tree: Tree, excludes: Ignore, path: str, entry: Entry) -> bool:
    """Whether the excludes take `entry`, which they know as `path`, away: a folder only with all that is in it."""
    if not excludes.excludes(path):
        return False
    return not (entry.kind == "dir" and excludes.inverts and bool(_kept(tree, excludes, entry, path)))


def _content(
    tree: Tree, entry: Entry, relative: str, item: str, inodes: dict[tuple[int, int], tuple[str, str]]
) -> Entry:
    """The entry at its place in the item: a file with its digest, or a link to the item's first file of one inode."""
    if entry.kind == "file":
        identity = tree.identity(entry)
        if identity is not None:
            first = inodes.setdefault(identity, (item, relative))
            if first != (item, relative) and first[0] == item:
                return entry._replace(path=relative, kind="hardlink", link=first[1], size=0, xattrs=())
        entry = tree.digested(entry)
    return entry._replace(path=relative)


def _folders(tree: Tree, path: str, pivot: str) -> list[Entry]:
    """The folders between the pivot and the item, relative to the pivot."""
    relative = path[len(pivot) :].lstrip("/")
    parts = relative.split("/")[:-1]
    folders: list[Entry] = []
    for number in range(1, len(parts) + 1):
        inner = "/".join(parts[:number])
        entry = tree.lstat("/".join(filter(None, (pivot, inner))))
        if entry is not None:
            folders.append(entry._replace(path=inner))
    return folders


def _missing(tree: Tree, path: str, whole: str) -> FileError:
    if tree.ignored(tree.resolve(whole)):
        return FileError(f"{path!r} is excluded by the ignore file", hint=f"add a line !{whole} to .dockerignore")
    head, _, name = whole.rpartition("/")
    found = tree.lstat("/".join(filter(None, (tree.resolve(head), name))))
    if found is not None and found.kind == "symlink":
        hint = "links are followed inside the context, or the stage copied from, and lead nowhere else"
        return FileError(f"{path!r} is a symbolic link to {found.link}, which is not there", hint=hint)
    entry = tree.lstat(tree.resolve(head))
    names = [_base(child) for child in tree.children(tree.resolve(head))] if entry and entry.kind == "dir" else []
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    outside = posixpath.normpath(path).startswith("..")
    if outside:
        hint = "a build sees nothing outside its context: move the file, or build from a folder further up"
    elif near:
        hint = f"did you mean {head + '/' if head else ''}{near[0]}?"
    else:
        hint = "paths are relative to the context, or to the root of the stage copied from"
    return FileError(f"there is no {path!r} to copy", hint=hint)
