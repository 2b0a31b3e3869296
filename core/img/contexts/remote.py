"""Contexts behind URLs: a git repository, a tar, or a single file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from img.errors import UsageError
from img.ir.nodes import Source
from img.ports import Folder

if TYPE_CHECKING:
    from img.engine import Engine

KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
"""The build argument that leaves ``.git`` in a git context."""


class Opened(NamedTuple):
    """A context that was fetched: its folder, the source that tells its time, and a file that is all there is."""

    folder: Path
    source: Source
    single: Path | None = None


def source_of(text: str, args: Mapping[str, str] | None = None, engine: Engine | None = None) -> Source | None:
    """The source of files that a context's text names: git, http, or with `engine` any plugin's; None if it is no URL."""
    from img.gitref import parse_git

    git = parse_git(text)
    if git is not None:
        attrs = dict(git.attrs())
        if (args or {}).get(KEEP_GIT_DIR, "").lower() in ("1", "true", "t"):
            attrs["keepgitdir"] = "true"
        return Source("git", git.url, tuple(sorted(attrs.items())))
    if text.lower().startswith(("http://", "https://")):
        return Source("http", text)
    if engine is not None and "://" in text:
        from img.contexts import schemes

        return schemes.files(engine, text)
    return None


def fetch(engine: Engine, source: Source) -> Opened:
    """The files of a source. A tar behind a URL is unpacked, and kept; any other file stands in a folder of its own.

    Raises `SourceError`, and `UsageError` for a tar that is damaged or hostile.
    """
    plugin = engine.load("source", source.scheme)
    found: Folder = plugin.fetch(source)
    folder = Path(found.path)
    if source.scheme != "http":
        return Opened(folder, source)
    (single,) = folder.iterdir()
    tree = _unpacked(engine, single, plugin.pin(source).key, found.name)
    return Opened(folder, source, single) if tree is None else Opened(tree, source)


def _unpacked(engine: Engine, file: Path, key: str, name: str) -> Path | None:
    """The tar in `file` as a folder of the store; None if it is no tar."""
    from img.contexts.archive import NoTar, unpack_or_read
    from img.digest import digest_of

    def make(dest: Path) -> None:
        with file.open("rb") as stream:
            unpack_or_read(stream, dest, name)

    if not _may_be_tar(file):
        return None
    try:
        return engine.store.kept.tree(digest_of(["unpacked", key]), make)
    except NoTar:
        return None


def _may_be_tar(file: Path) -> bool:
    """Whether a file is worth unpacking: compressed or with a tar's header. A large plain file is no build file."""
    from img.contexts.archive import is_tar
    from img.oci.compress import sniff

    with file.open("rb") as stream:
        head = stream.read(512)
    return bool(sniff(head)) or is_tar(head)


def text_of(opened: Opened, what: str) -> bytes:
    """The single file as a build file. Raises `UsageError` if it is too long for one, or compressed."""
    from img.contexts.reading import read_text
    from img.oci.compress import sniff

    assert opened.single is not None
    with opened.single.open("rb") as stream:
        text = read_text(stream, what)
    if kind := sniff(text):
        raise UsageError(f"{what} is {kind} data, but no tar is in it", hint="serve a tar, or a build file as it is")
    return text


def modified(engine: Engine, source: Source) -> int | None:
    """When what a source stands for was last changed, as Unix time: a commit's time, a Last-Modified."""
    tell = getattr(engine.load("source", source.scheme), "modified", None)
    return None if tell is None else tell(source)


def need_folder(text: str) -> Path:
    """The local folder `text`. Raises `UsageError` if it is none."""
    if not os.path.isdir(text):
        problem = "is not a folder" if os.path.exists(text) else "does not exist"
        raise UsageError(
            f"the context {text} {problem}", hint="name a folder, a git or http URL, or - for standard input"
        )
    return Path(text)
