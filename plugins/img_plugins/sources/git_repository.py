"""One remote repository: which commit a ref is, that commit in a bare repository of the store, its files in a folder.

Only what is needed is fetched: the one commit, without history. Servers that can't do that (dumb HTTP, a commit that
no ref leads to and the server won't give) get a plain fetch of everything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from img.digest import sha256
from img.errors import FileError, SourceError
from img.ports import Host
from img_plugins.offline import OFFLINE, is_offline
from img_plugins.sources.git_program import Git, GitFailed, Remote

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
SHORT = re.compile(r"[0-9a-f]{4,63}\Z")
LOGIN = "give a token with --secret id=GIT_AUTH_TOKEN,env=NAME (or id=GIT_AUTH_TOKEN.HOST), or an agent with --ssh"


class Found(NamedTuple):
    """A commit, and the ref it was found under (empty: it was named itself)."""

    commit: str
    ref: str = ""


class Link(NamedTuple):
    """A submodule as a commit holds it."""

    path: str
    commit: str


class Repository:
    """A remote and its bare repository in the store."""

    def __init__(self, host: Host, git: Git, remote: Remote) -> None:
        self._git = git
        self._remote = remote
        self._key = sha256(remote.words.encode())
        self._kept = host.store.kept
        self._folder = self._kept.repository(self._key)
        self._host = host

    # --- which commit ---------------------------------------------------------------------------------------------

    def resolve(self, ref: str) -> Found:
        """The commit that `ref` is right now: a whole commit without asking, else a full ref, branch, tag, or the
        beginning of a commit; empty is the remote's HEAD. A branch goes before a tag. Raises `SourceError`."""
        if COMMIT.match(ref):
            return Found(ref)
        if ref.startswith("-") or any(c < " " or c in " ~^:?*[\\" for c in ref):
            raise SourceError(f"{ref!r} can't be a ref of a git repository", hint="a branch, a tag or a commit")
        if is_offline(self._host.settings):
            return self._remembered(ref)
        there = self._refs(ref)
        for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}") if ref else ("HEAD",):
            commit = there.get(f"{name}^{{}}") or there.get(name)
            if commit:
                self._host.store.downloads.set(self._drawer(ref), f"{commit} {name}")
                return Found(commit, name)
        if SHORT.match(ref) and (commit := self._short(ref)):
            return Found(commit)
        what = f"no branch, tag or commit {ref!r}" if ref else "no commit yet"
        raise SourceError(f"the repository {self._remote.words} has {what}", hint=self._near(ref))

    def _remembered(self, ref: str) -> Found:
        """What `ref` was when the remote was last asked."""
        known = self._host.store.downloads.get(self._drawer(ref))
        if known is None:
            what = f"what {ref!r} is in" if ref else "the default branch of"
            raise SourceError(f"the store does not know {what} {self._remote.words}, and img is offline", hint=OFFLINE)
        return Found(*known.split(" ", 1))

    def _drawer(self, ref: str) -> str:
        return f"git-ref {sha256(self._remote.words.encode())} {ref}"

    def _refs(self, ref: str) -> dict[str, str]:
        """Refs of the remote that end in `ref`, tags also with the commit they stand for (``^{}``)."""
        with self._opened():
            wanted = ["HEAD"] if not ref else [ref, f"{ref}^{{}}"]
            out = self._try("ls-remote", "origin", *wanted)
        pairs = [line.split("\t", 1) for line in out.decode("utf-8", "surrogateescape").splitlines() if "\t" in line]
        return {name: commit for commit, name in pairs if COMMIT.match(commit)}

    def _short(self, text: str) -> str:
        with self._opened():
            self._fetch_all()
            try:
                found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")
            except GitFailed:
                return ""
        return found.decode().strip()

    def _near(self, ref: str) -> str:
        import difflib

        with self._opened():
            out = self._try("ls-remote", "--heads", "--tags", "--refs", "origin")
        lines = out.decode("utf-8", "replace").splitlines()
        names = [line.partition("\t")[2].split("/", 2)[-1] for line in lines if "\t" in line]
        near = difflib.get_close_matches(ref, names, 1)
        return f"did you mean {near[0]}?" if near else f"it has {', '.join(names[:5]) or 'no branch at all'}"

    # --- its objects -----------------------------------------------------------------------------------------------

    def have(self, found: Found) -> None:
        """See to it that the store has the commit with all its files. Raises `SourceError`."""
        with self._opened():
            if self._has(found.commit):
                return
            if is_offline(self._host.settings):
                raise SourceError(
                    f"the store does not have {found.commit} of {self._remote.words}, and img is offline", hint=OFFLINE
                )
            for wanted in filter(None, (found.commit, found.ref)):
                try:
                    self._run(
                        "fetch", "--progress", "--depth=1", "--no-tags", "--no-write-fetch-head", "origin", wanted
                    )
                except GitFailed:
                    continue
                if self._has(found.commit, fresh=True):
                    return
            self._fetch_all()
            if not self._has(found.commit, fresh=True):
                raise SourceError(
                    f"the repository {self._remote.words} has no commit {found.commit}",
                    hint="it may have been replaced: was the branch rewritten?",
                )

    def _has(self, commit: str, fresh: bool = False) -> bool:
        """Whether the commit is there whole: marked by a ref, which is only made after its fetch has ended well."""
        try:
            if fresh:
                self._run("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")
                self._run("update-ref", f"refs/img/{commit}", commit)
                return True
            return bool(self._run("rev-parse", "--verify", "--quiet", f"refs/img/{commit}"))
        except GitFailed:
            return False

    def _fetch_all(self) -> None:
        whole = ["--unshallow"] if (self._folder / "shallow").exists() else []
        specs = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        self._try("fetch", "--progress", "--no-write-fetch-head", "--prune", *whole, "origin", *specs)

    # --- its files -------------------------------------------------------------------------------------------------

    def time(self, commit: str) -> int:
        """When the commit was made, as Unix time."""
        with self._opened():
            return int(self._run("log", "-1", "--format=%ct", commit).decode().strip() or 0)

    def checkout(self, commit: str, dest: Path) -> list[Link]:
        """Write the commit's files into the empty folder `dest`; returns its submodules, whose folders stay empty."""
        with self._opened():
            return _write_files(self._git, self._folder, commit, dest, self._host.store.scratch() / "index")

    def clone(self, found: Found, dest: Path) -> list[Link]:
        """`checkout`, with a repository in ``.git`` that knows this one commit and where it came from."""
        inner = dest / ".git"
        inner.mkdir(mode=0o755)
        with self._opened():
            self._run("init", "-q", "--template=", folder=inner)
            source = Remote(os.fspath(self._folder), "")
            spec = f"refs/img/{found.commit}"
            self._git.run(
                "fetch", "-q", "--depth=1", "--no-tags", "origin", spec, folder=inner, remote=source, local=True
            )
        (inner / "FETCH_HEAD").unlink(missing_ok=True)
        self._run("config", "core.bare", "false", folder=inner)
        self._run("config", "--replace-all", "remote.origin.url", self._remote.words, folder=inner)
        self._run("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", folder=inner)
        if found.ref.startswith("refs/"):
            self._run("update-ref", found.ref, found.commit, folder=inner)
        if found.ref.startswith("refs/heads/"):
            self._run("symbolic-ref", "HEAD", found.ref, folder=inner)
        else:
            self._run("update-ref", "--no-deref", "HEAD", found.commit, folder=inner)
        links = _write_files(self._git, inner, found.commit, dest, inner / "index")
        self._run("read-tree", "--reset", found.commit, folder=inner)  # an index without times: the same every time
        return links

    # --- git ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """The repository's lock held, and the repository there."""
        with self._kept.repository_lock(self._key):
            if not (self._folder / "HEAD").exists():
                self._folder.mkdir(mode=0o755, exist_ok=True)
                self._git.run("init", "-q", "--bare", "--template=", folder=self._folder)
            yield

    def _run(self, *arguments: str, folder: Path | None = None) -> bytes:
        return self._git.run(*arguments, folder=folder or self._folder, remote=None if folder else self._remote)

    def _try(self, *arguments: str) -> bytes:
        """`_run` against the remote, with its failure in our words."""
        try:
            return self._run(*arguments)
        except GitFailed as error:
            text = str(error)
            hint = "check the address and the network"
            if re.search(
                r"could not read (Username|Password)|[Aa]uthentication failed|[Pp]ermission denied|40[13]", text
            ):
                hint = LOGIN
            elif "not allowed" in text and "transport" in text:
                hint = "only https, http, ssh and git are"
            raise SourceError(f"can't fetch the git repository {self._remote.words}: {text}", hint=hint) from None


def _write_files(git: Git, folder: Path, commit: str, dest: Path, index: Path) -> list[Link]:
    env = {"GIT_WORK_TREE": os.fspath(dest), "GIT_INDEX_FILE": os.fspath(index)}
    try:
        git.run("read-tree", "--reset", "-u", commit, folder=folder, env=env)
        rows = git.run("ls-files", "--stage", "-z", folder=folder, env=env).split(b"\0")
    except GitFailed as error:
        raise SourceError(f"can't check out the commit {commit}: {error}") from None
    links = [row.partition(b"\t") for row in rows if row.startswith(b"160000 ")]
    return [Link(os.fsdecode(path), head.split(b" ")[1].decode()) for head, _, path in links]


def submodule_urls(git: Git, folder: Path, tree: Path) -> dict[str, str]:
    """Path → URL of the submodules that ``.gitmodules`` of the checked out `tree` names. Raises `FileError`."""
    file = tree / ".gitmodules"
    if not file.is_file() or file.is_symlink():
        return {}
    try:
        out = git.run(
            "config", "--file", os.fspath(file), "--null", "--get-regexp", r"^submodule\..*\.(path|url)$", folder=folder
        )
    except GitFailed as error:
        raise FileError(f".gitmodules can't be read: {error}") from None
    paths: dict[str, str] = {}
    urls: dict[str, str] = {}
    for row in filter(None, out.decode("utf-8", "surrogateescape").split("\0")):
        key, _, value = row.partition("\n")
        name, _, what = key.rpartition(".")
        (paths if what == "path" else urls)[name] = value
    return {path: urls[name] for name, path in paths.items() if name in urls}
