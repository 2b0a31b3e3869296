"""COPY and ADD: files of the context, of stages and images, of the network, and of heredocs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from img.digest import is_digest
from img.errors import FileError, FrontendError, Place, UsageError
from img.files.modes import Mode
from img.gitref import GitRef, parse_git
from img.ir.nodes import Copy, Merge, Node, Scratch, Source, Write
from img.ir.values import Notes
from img_frontends.dockerfile.heredocs import opening
from img_frontends.dockerfile.origins import Scope
from img_frontends.dockerfile.reader import Heredoc
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Instruction, Word
from img_frontends.dockerfile.words import Words, switch

UNNAMED = "__unnamed__"
"""The name of a downloaded file whose URL has none."""

_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}\Z")


class Part(NamedTuple):
    """One copy of an instruction: `paths` of `source`, as they stand if `literal`."""

    source: Node
    paths: tuple[str, ...]
    literal: bool = True
    unpack: bool = False
    title: str = ""


def check_copy(i: Instruction) -> None:
    """What can be said of a COPY or ADD without knowing any variable. Raises `FrontendError`."""
    if len(i.words) < 2:
        raise FrontendError(f"{i.keyword} requires at least a source and a destination", place=i.line.whole)
    last = i.words[-1]
    if heredoc_of(i, last) is not None:
        hint = "write the destination behind it"
        raise FrontendError(
            f"{i.keyword} needs a destination, not a heredoc", hint=hint, place=i.line.place(last.offset)
        )
    origin = i.flag("from")
    if origin is not None and "$" in origin:
        hint = "define a stage with FROM and an ARG before the first FROM, and name that"
        raise FrontendError("variable expansion is not supported for --from", hint=hint, place=_at(i, "from"))
    if i.flag("checksum") is not None and len(i.words) > 2:
        raise FrontendError("--checksum can't be used with several sources", place=_at(i, "checksum"))


def copy(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    """COPY and ADD."""
    *sources, dest = words.all()
    owner, mode = words.flag("chown"), words.flag("chmod")
    if mode:
        try:
            Mode.parse(mode)
        except FileError as error:
            raise FrontendError(f"--chmod: {error.message}", hint=error.hint, place=_at(i, "chmod")) from None
    notes = scope.notes(i)
    parts, names = _parts(i, sources, words, scope, notes)
    target = _dest(state, dest)

    def placed(base: Node, owner: str = owner, notes: Notes = notes) -> Node:
        for part in parts:
            base = Copy(
                base,
                part.source,
                part.paths,
                target,
                owner,
                mode,
                tuple(flag.value or "" for flag in i.all("exclude")),
                switch(i, "parents") and not part.literal,
                part.unpack,
                part.literal,
                i.flag("from") is not None,
                mtime=state.epoch,
                notes=notes if part is parts[-1] else replace(notes, title=part.title),
            )
        return base

    if switch(i, "link") and not mode:
        _check_link(i, owner)
        node = _linked(state.node, placed, notes)
    else:
        node = placed(state.node)
    flags = " --parents" if switch(i, "parents") else ""
    flags += "".join(f" --{name}={value}" for name, value in (("chown", owner), ("chmod", mode)) if value)
    state.note(f"{i.keyword}{flags} {' '.join([*names, dest])}", node, built=True)


def _linked(base: Node, placed: Callable[[Node], Node], notes: Notes) -> Node:
    """A layer that knows nothing of what is below it, on top of that; over nothing, just the layer."""
    layer = placed(Scratch())
    if isinstance(base, Scratch):
        return layer
    head, bracket, rest = notes.title.partition("] ")
    return Merge((base, layer), notes=replace(notes, title=f"{head}{bracket}LINK {rest}"))


def _check_link(i: Instruction, owner: str) -> None:
    for name in owner.split(":"):
        if name and not name.isdigit():
            hint = "give numbers: a linked layer sees no /etc/passwd and no /etc/group of what is below it"
            raise FrontendError(f"--link can't look up {name!r}", hint=hint, place=_at(i, "chown"))


def _dest(state: StageState, dest: str) -> str:
    """The absolute destination; a trailing "/" stays, and says folder."""
    folder = dest in ("", ".", "..") or dest.endswith(("/", "/.", "/.."))
    path = state.absolute(dest)
    return path.rstrip("/") + "/" if folder else path


def _at(i: Instruction, flag: str) -> Place:
    """The place of a flag."""
    return i.line.place(next((item.offset for item in i.flags if item.name == flag), 0))


# --- sources -------------------------------------------------------------------------------------------------------


def heredoc_of(i: Instruction, word: Word) -> Heredoc | None:
    """The heredoc that a word of the instruction stands for."""
    begun = opening(word.text)
    return next((heredoc for heredoc in i.heredocs if begun and heredoc.name == begun.name), None)


def _parts(
    i: Instruction, sources: Sequence[str], words: Words, scope: Scope, notes: Notes
) -> tuple[list[Part], list[str]]:
    """The copies that the sources come to, and the sources as the history names them: heredocs go last."""
    parts: list[Part] = []
    plain: list[str] = []
    names: list[str] = []
    heredocs: list[Heredoc] = []
    for source, word in zip(sources, i.words, strict=False):
        heredoc = heredoc_of(i, word)
        if heredoc is not None:
            heredocs.append(heredoc)
            continue
        names.append(source)
        remote = _remote(i, source, words, i.line.place(word.offset))
        if remote is None:
            plain.append(source)
            continue
        if plain:
            parts.append(_plain(i, plain, scope, notes))
            plain = []
        parts.append(remote._replace(title=f"{notes.title} ({source})"))
    if plain:
        parts.append(_plain(i, plain, scope, notes))
    if heredocs:
        parts.append(_bodies(i, heredocs, words, notes))
    return parts, [*names, *(f"<<{heredoc.name}" for heredoc in heredocs)]


def _plain(i: Instruction, paths: Sequence[str], scope: Scope, notes: Notes) -> Part:
    checksum = i.flag("checksum")
    if checksum is not None:
        hint = "the context's files are always checked"
        raise FrontendError("--checksum is for http(s) and git sources", hint=hint, place=_at(i, "checksum"))
    origin = i.flag("from")
    source = scope.context() if origin is None else scope.files_of(origin, _at(i, "from"))
    unpack = i.keyword == "ADD" and switch(i, "unpack", True)
    return Part(source, tuple(paths), False, unpack, f"{notes.title} ({' '.join(paths)})")


def _bodies(i: Instruction, heredocs: Sequence[Heredoc], words: Words, notes: Notes) -> Part:
    """Files with the bodies of heredocs. They are made aside and copied, as everything else is."""
    node: Node = Scratch()
    for heredoc in heredocs:
        body = words.one(heredoc.body, 0, raw=True) if heredoc.expand else heredoc.body
        inner = Notes(f"[internal] heredoc {heredoc.name}", i.line.whole, notes.group)
        node = Write(node, f"/{heredoc.name}", body.encode("utf-8", "surrogateescape"), notes=inner)
    return Part(node, tuple(heredoc.name for heredoc in heredocs), title=notes.title)


def _remote(i: Instruction, source: str, words: Words, place: Place) -> Part | None:
    """The copy of something on the network; None for a path."""
    http = source.startswith(("http://", "https://"))
    keep = next((switch(i, "keep-git-dir") for flag in i.flags if flag.name == "keep-git-dir"), None)
    try:
        git = parse_git(source, known=http and keep is not None)
    except UsageError as error:
        raise FrontendError(error.message, hint=error.hint, place=place) from None
    if git is not None and not git.bare:
        if i.keyword == "COPY":
            hint = "ADD fetches it"
            raise FrontendError("the source of a COPY can't be a git repository", hint=hint, place=place)
        return _placed(_git(i, git, keep, words.flag("checksum")), place, i.retry)
    if not http:
        return None
    if i.keyword == "COPY":
        raise FrontendError("the source of a COPY can't be a URL", hint="ADD downloads it", place=place)
    return _placed(_http(i, source, words.flag("checksum")), place, i.retry)


def _placed(part: Part, place: Place, retry: int) -> Part:
    """The part whose source knows where in the file it is named, for its errors, and how often it may fail."""
    assert isinstance(part.source, Source)
    return part._replace(source=replace(part.source, retry=retry, notes=Notes(place=place)))


def _git(i: Instruction, git: GitRef, keep: bool | None, checksum: str) -> Part:
    if keep is not None and git.keep_git_dir is not None and keep != git.keep_git_dir:
        hint = "say it in the flag or in the reference"
        raise FrontendError("inconsistent keep-git-dir", hint=hint, place=_at(i, "keep-git-dir"))
    if checksum and git.checksum and checksum != git.checksum:
        hint = "say it in the flag or in the reference"
        raise FrontendError(f"--checksum={checksum} is not {git.checksum}", hint=hint, place=_at(i, "checksum"))
    if checksum and not _COMMIT.match(checksum):
        hint = "a commit of the repository, or its beginning"
        raise FrontendError(f"--checksum={checksum} is no commit", hint=hint, place=_at(i, "checksum"))
    git = replace(
        git,
        checksum=git.checksum or checksum,
        keep_git_dir=git.keep_git_dir if git.keep_git_dir is not None else keep,
    )
    return Part(Source("git", git.url, git.attrs()), ("",))


def _http(i: Instruction, url: str, checksum: str) -> Part:
    if checksum and not is_digest(checksum):
        hint = "sha256: and 64 hexadecimal digits, in lower case"
        raise FrontendError(f"--checksum={checksum} is no digest", hint=hint, place=_at(i, "checksum"))
    return Part(http_source(url, checksum), (http_name(url),), unpack=switch(i, "unpack"))


def http_source(url: str, checksum: str = "") -> Source:
    """The source of a downloaded file."""
    attrs = {"checksum": checksum, "filename": http_name(url)}
    return Source("http", url, tuple(sorted((name, value) for name, value in attrs.items() if value)))


def http_name(url: str) -> str:
    """What the file of a URL is called: the end of its path."""
    try:
        name = posixpath.basename(posixpath.normpath(unquote(urlsplit(url).path)))
    except ValueError:
        name = ""
    return name if name not in ("", ".", "..") else UNNAMED
