"""``git``: the files of one commit of a git repository.

`ref` is the repository's address. Attributes: ``ref`` (branch, tag, full ref or commit; none is the default branch),
``subdir``, ``checksum`` (a commit or its beginning, which the ref must turn out to be), ``keepgitdir`` (``true``: with
``.git``), ``submodules`` (``false``: without). Files have the modes git has for them, and the commit's time.

It takes the program ``git``. Checkouts are kept in the store by commit. Logins: the secrets ``GIT_AUTH_TOKEN`` and
``GIT_AUTH_HEADER``, each also with ``.HOST`` behind it; the ssh agent ``default``.
"""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from img.digest import digest_of
from img.errors import SourceError, UsageError
from img.ir.nodes import Source
from img.ports import Folder, Host, Pin
from img_plugins.sources.git_program import Git, Remote
from img_plugins.sources.git_repository import COMMIT, Found, Repository, submodule_urls

DEPTH = 16
"""Submodules inside submodules, at most."""


class GitSource:
    """See `img.ports.SourcePlugin`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._git = Git(host)
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Found] = {}

    def pin(self, source: Source) -> Pin:
        """The commit, and what is taken of it. Raises `SourceError`, `UsageError`."""
        found, attrs = self._find(source), dict(source.attrs)
        words = Remote.of(source.ref).words
        repository = (words, found.ref) if _keeps(attrs) else ()
        key = digest_of(["git", found.commit, attrs.get("subdir", ""), repository, _nested(attrs)])
        return Pin(key, f"{words}#{found.commit}")

    def fetch(self, source: Source) -> Folder:
        """The checked out files, in the store."""
        found, attrs = self._find(source), dict(source.attrs)
        remote = Remote.of(source.ref)
        keep = _keeps(attrs) and not attrs.get("subdir", "").strip("/.")
        key = digest_of(["git", remote.words, found.commit, found.ref if keep else "", keep, _nested(attrs)])

        def make(dest: Path) -> None:
            self._checkout(remote, found, dest, keep, _nested(attrs), DEPTH)
            _set_times(dest, self._repository(remote).time(found.commit))

        tree = self._host.store.kept.tree(key, make)
        return Folder(os.fspath(_below(tree, attrs.get("subdir", ""), remote)), name=remote.words)

    def modified(self, source: Source) -> int | None:
        """The commit's time."""
        found, remote = self._find(source), Remote.of(source.ref)
        drawer = f"git-time {found.commit}"
        known = self._host.store.downloads.get(drawer)
        if known is None:
            repository = self._repository(remote)
            repository.have(found)
            known = str(repository.time(found.commit))
            self._host.store.downloads.set(drawer, known)
        return int(known)

    def _find(self, source: Source) -> Found:
        """The commit, asked for once a session."""
        attrs = dict(source.attrs)
        ref, checksum = attrs.get("ref", ""), attrs.get("checksum", "")
        remote = Remote.of(source.ref)
        key = (source.ref, ref)
        with self._lock:
            if key not in self._found:
                self._found[key] = self._repository(remote).resolve(ref)
            found = self._found[key]
        if checksum and not found.commit.startswith(checksum.lower()):
            raise SourceError(
                f"{ref or 'HEAD'} of {remote.words} is the commit {found.commit}, not {checksum}",
                hint="it has moved, or the checksum is of another commit",
            )
        return found

    def _repository(self, remote: Remote) -> Repository:
        return Repository(self._host, self._git, remote)

    # --- files ------------------------------------------------------------------------------------------------------

    def _checkout(self, remote: Remote, found: Found, dest: Path, keep: bool, nested: bool, depth: int) -> None:
        repository = self._repository(remote)
        repository.have(found)
        links = repository.clone(found, dest) if keep else repository.checkout(found.commit, dest)
        if not links or not nested:
            return
        if depth == 0:
            raise SourceError(f"{remote.words} has submodules inside submodules, more than {DEPTH} deep")
        urls = submodule_urls(self._git, dest, dest)
        for link in links:
            url = urls.get(link.path)
            if url is None or not COMMIT.match(link.commit):
                raise SourceError(
                    f"the submodule {link.path} of {remote.words} has no URL in .gitmodules",
                    hint="or leave submodules out",
                )
            inner = dest / link.path
            if not Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(dest)):
                raise SourceError(f"the submodule {link.path} of {remote.words} lies outside of it")
            inner.mkdir(exist_ok=True)
            self._checkout(_submodule(remote, url, link.path), Found(link.commit), inner, False, True, depth - 1)


def _submodule(parent: Remote, url: str, path: str) -> Remote:
    """The remote of a submodule, whose URL may be relative to its parent's (gitmodules(5))."""
    if url.startswith(("./", "../")):
        url = _relative(parent.url, url)
    try:
        remote = Remote.of(url, parent.home)
    except UsageError:
        remote = None
    if remote is None or (remote.local and not parent.local):
        raise SourceError(
            f"the submodule {path} of {parent.words} is at {url!r}, which is not fetched",
            hint="submodules may be at https, http, ssh and git addresses",
        )
    return remote


def _relative(base: str, url: str) -> str:
    if "://" in base:
        parts = urlsplit(base)
        joined = posixpath.normpath(f"{parts.path}/{url}")
        return urlunsplit((parts.scheme, parts.netloc, joined if joined.startswith("/") else f"/{joined}", "", ""))
    if base.startswith("/"):
        return posixpath.normpath(f"{base}/{url}")
    host, _, path = base.partition(":")
    return f"{host}:{posixpath.normpath(f'{path}/{url}')}"


def _keeps(attrs: Mapping[str, str]) -> bool:
    return attrs.get("keepgitdir") == "true"


def _nested(attrs: Mapping[str, str]) -> bool:
    return attrs.get("submodules") != "false"


def _below(tree: Path, subdir: str, remote: Remote) -> Path:
    """The folder `subdir` of a checkout. Raises `SourceError` if there is none, or it leads out of it."""
    found = Path(os.path.realpath(tree / subdir.strip("/")))
    if not found.is_relative_to(os.path.realpath(tree)) or ".git" in found.relative_to(os.path.realpath(tree)).parts:
        raise SourceError(f"the folder {subdir!r} leads out of the repository {remote.words}")
    if not found.is_dir():
        there = sorted(entry.name for entry in tree.iterdir() if entry.is_dir() and entry.name != ".git")
        hint = f"its folders: {', '.join(there[:8])}" if there else "it has no folders"
        raise SourceError(f"the repository {remote.words} has no folder {subdir!r} in this commit", hint=hint)
    return found


def _set_times(tree: Path, seconds: int) -> None:
    """Give every file and folder the commit's time, so that a checkout is the same whenever it is made."""
    for folder, folders, files in os.walk(tree, topdown=False):
        for name in (*files, *folders):
            os.utime(f"{folder}/{name}", (seconds, seconds), follow_symlinks=False)
    os.utime(tree, (seconds, seconds))
