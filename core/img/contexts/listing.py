"""What a build sees of a context, and which rule of which ignore file decides about a path."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from img.contexts.main import Main
from img.contexts.reading import read_inside
from img.files.entry import Entry
from img.files.folder import FolderTree
from img.files.ignoring import find_ignore
from img.files.patterns import Ignore, Rule, read_rules


class Verdict(NamedTuple):
    """Whether a path is seen. `rule` is the one that decides, None if none matches; `through` says that an ignored
    folder is seen only because something in it is."""

    path: str
    exists: bool
    seen: bool
    rule: Rule | None
    through: bool = False


class Listing:
    """An opened context through its ignore file. Raises `FileError` for an ignore file that is wrong."""

    def __init__(self, main: Main) -> None:
        found = find_ignore(main.options, lambda name: read_inside(main.folder, name))
        self.ignore_file = found[0] if found else ""
        """The ignore file's name, empty if there is none."""
        self.rules: tuple[Rule, ...] = read_rules(found[1], found[0]) if found else ()
        self._root = os.fspath(main.folder)
        self._tree = FolderTree(self._root, [rule.pattern for rule in self.rules])

    def entries(self) -> Iterator[Entry]:
        """Everything that is seen, parents first, in the order of their names' bytes."""
        stack = [iter(self._tree.children(""))]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                continue
            yield entry
            if entry.kind == "dir":
                stack.append(iter(self._tree.children(entry.path)))

    def why(self, path: str) -> Verdict:
        """The verdict on one path, relative to the context, also on one that does not exist."""
        clean = posixpath.normpath("/" + path).lstrip("/")
        exists = os.path.lexists(f"{self._root}/{clean}")
        if not clean:
            return Verdict(".", exists, True, None)
        ignore = Ignore([rule.pattern for rule in self.rules])
        number = ignore.decides(clean)
        rule = None if number is None else self.rules[number]
        excluded = rule is not None and not rule.pattern.startswith("!")
        through = excluded and exists and self._tree.lstat(clean) is not None
        return Verdict(clean, exists, exists and (not excluded or through), rule, through)
