"""Where a program's files come from: folders of this machine, git repositories, files of a URL."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from img.digest import digest_of, is_digest
from img.errors import FileError, UsageError
from img.gitref import parse_git
from img.ir import checked
from img.ir.nodes import Source
from img.ir.values import Notes, Pairs

IGNORE_FILE = ".dockerignore"
LIMIT = 4 << 20
"""Bytes of the largest ignore file."""


@dataclass(frozen=True, slots=True)
class Files:
    """Files to copy from or to mount. Made by `local`, `git` and `http`."""

    scheme: str
    ref: str
    attrs: Pairs = ()
    path: str = ""
    """The absolute path of a folder of this machine; empty for files from elsewhere."""
    ignore: tuple[str, ...] | None = None
    """Patterns of a folder's files that are left out; None: those of its .dockerignore."""
    paths: tuple[str, ...] = (".",)
    """What a copy takes that names nothing."""

    @property
    def contexts(self) -> dict[str, str]:
        """The folder by its name in the graph."""
        return {self.ref: self.path} if self.path else {}

    def source(self) -> Source:
        """The node. Raises `FileError` for an ignore file with a bad line."""
        attrs = self.attrs
        if self.path and (patterns := self._patterns()):
            attrs = (("ignore", "\n".join(patterns)),)
        return Source(self.scheme, self.ref, attrs, notes=Notes())

    def _patterns(self) -> tuple[str, ...]:
        if self.ignore is not None:
            return self.ignore
        from img.files.patterns import read_ignore

        file = os.path.join(self.path, IGNORE_FILE)
        try:
            with open(file, "rb") as stream:
                data = stream.read(LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise FileError(f"{file} can't be read: {error.strerror}") from error
        if len(data) > LIMIT:
            raise FileError(f"{file} is larger than {LIMIT >> 20} MiB", hint="is it an ignore file?")
        return read_ignore(data, file)


def context(ignore: Sequence[str] = ()) -> Files:
    """The build's own context, for frontends. `ignore` are patterns as `img.files.patterns.read_ignore` gives them."""
    return Files("local", "context", (("ignore", "\n".join(ignore)),) if ignore else ())


def local(path: str | os.PathLike[str], ignore: Iterable[str] | None = None) -> Files:
    """A folder of this machine. `ignore` are patterns as in a .dockerignore; None: what the folder's own says. Raises
    `UsageError` if there is no such folder."""
    given = checked.path(path, "the path of img.local")
    whole = os.path.abspath(given)
    if not os.path.isdir(whole):
        what = "a file" if os.path.exists(whole) else "not there"
        raise UsageError(f"img.local({given!r}) is no folder: {whole} is {what}", hint="copy a file from its folder")
    name = "context" if given == "." else "folder-" + digest_of(whole)[7:19]
    patterns: tuple[str, ...] | None = None
    if ignore is not None:
        from img.files.patterns import read_ignore

        lines = checked.texts(ignore, "ignore")
        patterns = read_ignore("\n".join(lines).encode("utf-8", "surrogateescape"), "ignore")
    return Files("local", name, (), whole, patterns)


def git(url: str, *, ref: str = "", subdir: str = "", checksum: str = "", keep_git_dir: bool = False) -> Files:
    """A commit of a git repository: `ref` is a branch, a tag or a commit, `checksum` the commit it must turn out to be.
    The address may say all that too, as contexts do. Raises `UsageError` for what names no repository."""
    found = parse_git(checked.text(url, "the URL of img.git"), known=True)
    if found is None:
        raise UsageError(f"{url!r} names no git repository", hint="e.g. https://host/owner/repo.git#branch:folder")
    from dataclasses import replace

    found = replace(
        found,
        ref=ref or found.ref,
        subdir=subdir or found.subdir,
        checksum=checksum or found.checksum,
        keep_git_dir=keep_git_dir or found.keep_git_dir,
    )
    return Files("git", found.url, found.attrs(), paths=("",))


def http(url: str, *, checksum: str = "", name: str = "") -> Files:
    """A file of an http or https URL; `checksum` is its digest (``sha256:…``), `name` what to call it (default: the end of
    the URL's path). Raises `UsageError`."""
    if not checked.text(url, "the URL of img.http").startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no http or https URL")
    if checksum and not is_digest(checksum):
        raise UsageError(f"checksum={checksum!r} is no digest", hint="sha256: and 64 hexadecimal digits, in lower case")
    called = name or posixpath.basename(posixpath.normpath(unquote(urlsplit(url).path)))
    if called in ("", ".", "..") or "/" in called:
        raise UsageError(f"the file of {url} has no name", hint="give one: name=…")
    attrs = {"checksum": checksum, "filename": called}
    return Files("http", url, tuple(sorted((k, v) for k, v in attrs.items() if v)), paths=(called,))


def joined(found: Sequence[dict[str, str]]) -> dict[str, str]:
    """Folders by name. Raises `UsageError` for two folders of one name."""
    all_: dict[str, str] = {}
    for one in found:
        for name, path in one.items():
            if all_.setdefault(name, path) != path:
                raise UsageError(
                    f"img.local('.') stands for {all_[name]} and for {path}",
                    hint="the current folder changed between them: give one as an absolute path",
                )
    return all_
