"""Which files of a context a build can ask for: what its COPYs name, with the folders and links on the way."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator

from img.errors import FileError
from img.files.entry import Entry
from img.files.folder import FolderTree
from img.files.patterns import glob
from img.ir.nodes import Copy

Pattern = tuple[re.Pattern[str] | str, ...]
"""One matcher for each part of a path; text stands for itself. None at all: everything."""
ROUNDS = 64
"""Links that are followed one after the other at most."""


def patterns_of(copies: Iterable[Copy]) -> frozenset[Pattern]:
    """What the paths of these steps can match, and everything below."""
    return frozenset(_pattern(path, copy.literal) for copy in copies for path in copy.paths)


def _pattern(path: str, literal: bool) -> Pattern:
    parts = [part for part in posixpath.normpath("/" + path).split("/") if part]
    made: list[re.Pattern[str] | str] = []
    for part in parts:
        if not literal and "**" in part:
            break  # any folders: whatever is below
        made.append(part if literal or not re.search(r"[*?\[\\]", part) else glob(part))
    return tuple(made)


def touches(pattern: Pattern, parts: list[str]) -> bool:
    """Whether a path is matched, lies below what is, or leads to what may be."""
    return all(
        matcher == part if isinstance(matcher, str) else matcher.match(part) is not None
        for matcher, part in zip(pattern, parts, strict=False)
    )


class Needed:
    """The entries of a tree that a build can ask for, in the order that fsutil wants: a folder, then what is in it."""

    def __init__(self, tree: FolderTree, patterns: frozenset[Pattern]) -> None:
        self._tree = tree
        self._patterns = set(patterns)
        for _ in range(ROUNDS):
            found = {pattern for entry in self._links() for pattern in self._beyond(entry)}
            if found <= self._patterns:
                break
            self._patterns |= found

    def entries(self) -> Iterator[Entry]:
        """Every entry, without the root. Raises `FileError`."""
        return self._walk(touches)

    def _links(self) -> Iterator[Entry]:
        """The links that are matched by, or on the way to, what is asked for; those inside a folder that is taken as a whole
        are copied as they are."""
        walk = self._walk(lambda pattern, parts: len(parts) <= len(pattern) and touches(pattern, parts))
        return (entry for entry in walk if entry.kind == "symlink")

    def _beyond(self, link: Entry) -> Iterator[Pattern]:
        """What has to be there for those who follow a link."""
        parts = link.path.split("/")
        try:
            target = self._tree.resolve(link.path)
        except FileError:
            return
        hops = self._hops(link)
        for pattern in list(self._patterns):
            if len(parts) <= len(pattern) and touches(pattern, parts):
                rest = pattern[len(parts) :]
                yield (*target.split("/"), *rest) if target else rest
                for hop in hops:
                    yield (*hop.split("/"), *rest)

    def _hops(self, link: Entry) -> list[str]:
        """Where the link leads by itself, before other links on that way are followed."""
        base = "/" if link.link.startswith("/") else "/" + posixpath.dirname(link.path)
        first = posixpath.normpath(posixpath.join(base, link.link)).strip("/")
        return [first] if first else []

    def _walk(self, wanted: Callable[[Pattern, list[str]], bool]) -> Iterator[Entry]:
        pending = [self._tree.children("")]
        while pending:
            entry = next(pending[-1], None)
            if entry is None:
                pending.pop()
                continue
            parts = entry.path.split("/")
            leads = entry.kind in ("dir", "symlink")
            if any((leads or len(parts) >= len(one)) and wanted(one, parts) for one in self._patterns):
                yield entry
                if entry.kind == "dir":
                    pending.append(self._tree.children(entry.path))
