"""References to git repositories, as build contexts and ADD name them.

    https://host/owner/repo.git#ref:subdir        a fragment: branch, tag or commit, and a folder
    https://host/owner/repo.git?tag=v1&subdir=d   the same as query keys
    git@host:owner/repo.git, ssh://…, git://…     other transports; the suffix ``.git`` is not needed
    github.com/owner/repo                         only for contexts; could be a path as well (`GitRef.bare`)

An http(s) address is a repository only if its path ends in ``.git``. The rules are those of BuildKit's Dockerfile
frontend, so that one reference means one tree with both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from img.errors import UsageError

SCHEMES = ("http", "https", "ssh", "git")
KEYS = (
    "ref",
    "tag",
    "branch",
    "subdir",
    "checksum",
    "commit",
    "keep-git-dir",
    "submodules",
    "mtime",
    "fetch-by-commit",
)
SWITCHES = ("keep-git-dir", "submodules", "fetch-by-commit")
"""Keys that may stand alone: ``?submodules`` is ``?submodules=true``."""

_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
_SCP = re.compile(
    r"(?P<user>[a-zA-Z0-9_-]+)@(?P<host>[a-zA-Z0-9.-]+):(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?\Z"
)
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class GitRef:
    """A repository, and what to take of it."""

    url: str
    """What git itself is given: without fragment and query."""
    ref: str = ""
    """Branch, tag, full ref or commit; empty is the remote's default branch."""
    subdir: str = ""
    checksum: str = ""
    """A commit, or the beginning of one, that `ref` must turn out to be."""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    """None and True fetch them, False does not."""
    mtime: str = ""
    """``checkout`` or ``commit``: what the files' modification times are; empty is ``checkout``."""
    fetch_by_commit: bool = False
    bare: bool = False
    """Written without a scheme, so that it could be a path too."""

    @property
    def name(self) -> str:
        """The repository's short name: ``bar`` of ``https://github.com/foo/bar.git``."""
        return self.url.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")

    @property
    def plain(self) -> bool:
        """Whether it travels unencrypted."""
        return self.url.lower().startswith(("http://", "git://"))

    def attrs(self) -> tuple[tuple[str, str], ...]:
        """The sorted attributes of a ``git`` source: ``ref``, ``subdir``, ``checksum``, ``keepgitdir`` (``true``),
        ``submodules`` (``false``), ``mtime`` (``commit``) and ``fetchbycommit`` (``true``), each only if it is set."""
        found = {
            "ref": self.ref,
            "subdir": self.subdir,
            "checksum": self.checksum,
            "keepgitdir": "true" if self.keep_git_dir else "",
            "submodules": "false" if self.submodules is False else "",
            "mtime": self.mtime if self.mtime == "commit" else "",
            "fetchbycommit": "true" if self.fetch_by_commit else "",
        }
        return tuple(sorted((name, value) for name, value in found.items() if value))


def parse_git(text: str, *, known: bool = False) -> GitRef | None:
    """The repository that `text` names; None if it names none. `known` says that it must be one, so that an http(s)
    address needs no ``.git``. Raises `UsageError` for one whose query or scheme makes no sense."""
    if text.startswith(("./", "../")):
        return None
    if text.startswith("github.com/"):
        found = _of_url("https://" + text, True)
        return found and replace(found, bare=True)
    if match := _SCHEME.match(text):
        return _of_url(text, known) if match[1].lower() in SCHEMES else None
    if match := _SCP.match(text):
        url = f"{match['user']}@{match['host']}:{match['path']}"
        return _filled(GitRef(url), match["query"] or "", match["fragment"] or "", text)
    return None


def _of_url(text: str, known: bool) -> GitRef | None:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (reading it checks it)
    except ValueError:
        return None
    if parts.scheme in ("http", "https") and not known and not unquote(parts.path).endswith(".git"):
        return None
    url = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return _filled(GitRef(url), parts.query, unquote(parts.fragment), text)


def _filled(git: GitRef, query: str, fragment: str, text: str) -> GitRef:
    ref, _, subdir = fragment.partition(":")
    git = replace(git, ref=ref, subdir=subdir)
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in KEYS:
            raise UsageError(f"unexpected query {name!r} in {text}", hint=f"there are {', '.join(KEYS)}")
        if name in values:
            raise UsageError(f"query {name!r} has multiple values in {text}")
        if not value and name not in SWITCHES:
            raise UsageError(f"query {name!r} has no value in {text}")
        values[name] = value
    for name, value in values.items():
        if name in _SETTERS:
            git = _SETTERS[name](git, value, text)
    return _named(git, values, text)


def _named(git: GitRef, values: dict[str, str], text: str) -> GitRef:
    """`git` with what the keys that name a ref say."""
    if "tag" in values and "branch" in values:
        raise UsageError(f"branch conflicts with tag in {text}", hint="name one of them")
    for name, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if name in values:
            git = _ref(git, prefix + values[name].removeprefix(prefix), text)
    return replace(git, ref=git.ref or git.checksum)


def _ref(git: GitRef, value: str, text: str) -> GitRef:
    if git.ref and git.ref != value:
        raise UsageError(f"ref conflicts in {text}: {git.ref!r} and {value!r}", hint="say it once")
    return replace(git, ref=value)


def _subdir(git: GitRef, value: str, text: str) -> GitRef:
    if git.subdir and git.subdir != value:
        raise UsageError(f"subdir conflicts in {text}: {git.subdir!r} and {value!r}", hint="say it once")
    return replace(git, subdir=value)


def _checksum(git: GitRef, value: str, text: str) -> GitRef:
    if git.checksum and git.checksum != value:
        raise UsageError(f"checksum conflicts in {text}: {git.checksum!r} and {value!r}", hint="say it once")
    return replace(git, checksum=value)


def _mtime(git: GitRef, value: str, text: str) -> GitRef:
    return replace(git, mtime=_one_of("mtime", value, ("checkout", "commit"), text))


def _switch(name: str, value: str, text: str) -> bool:
    if not value or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise UsageError(f"invalid {name} value {value!r} in {text}", hint="true or false")


def _one_of(name: str, value: str, known: Sequence[str], text: str) -> str:
    if value not in known:
        raise UsageError(f"invalid {name} value {value!r} in {text}", hint=f"it is one of {', '.join(known)}")
    return value


_SETTERS: dict[str, Callable[[GitRef, str, str], GitRef]] = {
    "ref": _ref,
    "subdir": _subdir,
    "checksum": _checksum,
    "commit": _checksum,
    "mtime": _mtime,
    "keep-git-dir": lambda git, value, text: replace(git, keep_git_dir=_switch("keep-git-dir", value, text)),
    "submodules": lambda git, value, text: replace(git, submodules=_switch("submodules", value, text)),
    "fetch-by-commit": lambda git, value, text: replace(git, fetch_by_commit=_switch("fetch-by-commit", value, text)),
}
