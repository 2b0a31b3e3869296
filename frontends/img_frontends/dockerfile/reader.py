"""From the bytes of a Dockerfile to its instructions: directives, comments, continued lines, heredoc bodies.

The rules are BuildKit's (frontend/dockerfile/parser): directives come first; a comment or an empty line inside a
continued instruction is dropped; white space before a continued line stays. Every instruction knows where in the file
each of its characters stands, and the comments around it. Problems that leave the rest readable are kept with the
`Script` and the `Line`: `img_frontends.dockerfile.parse.parse` raises them together with its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from img.errors import FrontendError, Place
from img_frontends.dockerfile.directives import after_shebang, directive
from img_frontends.dockerfile.flags import is_exec, skip
from img_frontends.dockerfile.heredocs import INSTRUCTIONS, Opening, openings
from img_frontends.dockerfile.space import BLANKS, GAP_CLASS

MAX_LINE = 65535
"""Bytes of one line of the file, its end not counted."""
KEYWORDS = (
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
)

_TABS = re.compile(r"^\t+", re.M)
_KEYWORD = re.compile(rf"([^{GAP_CLASS}]*)[{GAP_CLASS}]*")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One here-document of an instruction."""

    name: str
    body: str
    expand: bool
    """False if the delimiter was quoted."""
    chomp: bool
    """Leading tabs are dropped (``<<-``)."""
    fd: int = 0
    written: str = ""
    """The body as it stands in the file: leading tabs and line ends as they are."""


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction: its keyword in upper case, the rest of the text with continuations joined, its heredocs."""

    keyword: str
    text: str
    heredocs: tuple[Heredoc, ...]
    file: str
    first: int
    last: int
    source: str
    starts: tuple[tuple[int, int, int], ...] = field(repr=False)
    """Where pieces of `text` come from: (offset in `text`, line, column)."""
    word: str = ""
    """The keyword as it is written."""
    comments: tuple[str, ...] = ()
    """What the comments before it say, without ``#``: since the instruction before, or the last comment without text."""
    above: tuple[str, ...] = field(default=(), repr=False)
    """All rows between the instruction before and this one: comments and blank rows."""
    inner: tuple[tuple[int, str], ...] = field(default=(), repr=False)
    """Comments inside the continued instruction: (offset in `text` they stand before, row)."""
    problem: FrontendError | None = field(default=None, repr=False, compare=False)
    """Why the instruction can't be used, though the file can be read on."""

    def place(self, offset: int = 0) -> Place:
        """The place of the character at `offset` of `text`."""
        index = max(bisect_right(self.starts, offset, key=lambda start: start[0]) - 1, 0)
        start, line, column = self.starts[index]
        shown = self.source.split("\n", line - self.first + 1)
        text = shown[line - self.first] if 0 <= line - self.first < len(shown) else shown[0]
        return Place(self.file, line, column + offset - start, line, text)

    @property
    def whole(self) -> Place:
        """The place of the whole instruction."""
        return Place(self.file, self.first, 1, self.last, self.source)


@dataclass(frozen=True, slots=True)
class Script:
    """A read file: its directives and its instructions."""

    directives: dict[str, str]
    escape: str
    lines: tuple[Line, ...]
    head: tuple[str, ...] = ()
    """The rows of the directives."""
    tail: tuple[str, ...] = ()
    """The rows after the last instruction."""
    problems: tuple[FrontendError, ...] = ()
    """What is wrong with directives, and lines that are too long."""


def read(data: bytes, file: str) -> Script:
    """Read a Dockerfile. Raises `FrontendError` if there is nothing to read, or no way to."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if not text.strip(BLANKS):
        raise FrontendError(f"{file} is empty", hint="a Dockerfile begins with FROM", place=Place(file, 1))
    rows = text.removesuffix("\n").split("\n")
    problems = _too_long(rows, file)
    found, size = _directives(rows, file, problems)
    reader = _Reader(rows, file, found.get("escape", "\\"))
    reader.run(size)
    if not reader.lines:
        if problems:
            raise problems[0]
        raise FrontendError(f"{file} has no instructions", hint="a Dockerfile begins with FROM", place=Place(file, 1))
    head = tuple(row.rstrip("\r") for row in rows[:size])
    tail = tuple(reader.above)
    return Script(found, reader.escape, tuple(reader.lines), head, tail, tuple(problems))


def _too_long(rows: Sequence[str], file: str) -> list[FrontendError]:
    problems: list[FrontendError] = []
    for number, row in enumerate(rows, 1):
        if len(row) * 3 > MAX_LINE and len(row.encode("utf-8", "surrogateescape")) > MAX_LINE:
            place = Place(file, number, 1, number, row[:80])
            problems.append(FrontendError(f"the line is longer than {MAX_LINE} bytes", place=place))
    return problems


def _directives(rows: Sequence[str], file: str, problems: list[FrontendError]) -> tuple[dict[str, str], int]:
    """The directives, and how many rows they take. A wrong escape character can't be read on from, so it raises."""
    if rows[0].startswith("#!"):
        return {one.name: one.value for one in after_shebang(rows)}, 0
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        row = row.rstrip("\r")
        one = directive(row.lstrip(BLANKS))
        if one is None:
            return found, number - 1
        indent = len(row) - len(row.lstrip(BLANKS))
        if one.name in found:
            column = 1 + row.lower().index(one.name)
            place = Place(file, number, column, number, row)
            problems.append(FrontendError(f"only one {one.name} parser directive can be used", place=place))
        elif one.name == "escape" and one.value not in ("\\", "`"):
            place = Place(file, number, 1 + indent + one.column, number, row)
            raise FrontendError(f"the escape character can't be {one.value!r}", hint="it is \\ or `", place=place)
        else:
            found[one.name] = one.value
    return found, len(rows)


class _Reader:
    """Goes through the rows once, and gathers `lines` and the rows since the last instruction (`above`)."""

    def __init__(self, rows: Sequence[str], file: str, escape: str) -> None:
        self.escape = escape
        self.lines: list[Line] = []
        self.above: list[str] = []
        self._comments: list[str] = []
        self._rows = rows
        self._file = file
        self._at = 0
        self._inner: list[tuple[int, str]] = []

    def run(self, at: int) -> None:
        """Read all rows from `at` on."""
        self._at = at
        while self._at < len(self._rows):
            row = self._rows[self._at].rstrip("\r")
            stripped = row.lstrip(BLANKS)
            if stripped and stripped[0] != "#":
                self._line()
                continue
            self._at += 1
            self.above.append(row.rstrip(BLANKS))
            comment = stripped[1:].strip(BLANKS)
            if comment:
                self._comments.append(comment)
            elif stripped:
                self._comments.clear()

    def _line(self) -> None:
        """One instruction from the current row on; nothing if nothing is left once it is joined."""
        first = self._at
        pieces, starts = self._joined()
        text = "".join(pieces).rstrip(BLANKS)
        if not text:
            return
        head = _KEYWORD.match(text)
        assert head is not None
        skipped = head.end()
        body = text[skipped:]
        kept = _shifted(starts, skipped, len(body))
        inner = tuple((min(max(offset - skipped, 0), len(body)), row) for offset, row in self._inner)
        keyword = head[1].upper()
        found, missing = self._heredocs(keyword, body)
        line = Line(
            keyword,
            body,
            found,
            self._file,
            first + 1,
            self._at,
            "\n".join(row.rstrip("\r") for row in self._rows[first : self._at]),
            kept,
            head[1],
            tuple(self._comments),
            tuple(self.above),
            inner,
        )
        if missing is not None:
            hint = f"end it with a line that holds only {missing.name}"
            place = line.place(missing.offset)
            line = replace(line, problem=FrontendError(f"unterminated heredoc {missing.name}", hint=hint, place=place))
        self.lines.append(line)
        self.above, self._comments = [], []

    def _joined(self) -> tuple[list[str], list[tuple[int, int, int]]]:
        """The pieces of an instruction, and where each comes from: (offset, line, column)."""
        pieces: list[str] = []
        starts: list[tuple[int, int, int]] = []
        self._inner = []
        size = 0
        while self._at < len(self._rows):
            row = self._rows[self._at].rstrip("\r")
            self._at += 1
            stripped = row.lstrip(BLANKS)
            if pieces and not stripped:
                continue
            if pieces and stripped[0] == "#":
                self._inner.append((size, row.rstrip(BLANKS)))
                continue
            column = 1
            if not pieces:
                column += len(row) - len(stripped)
                row = stripped
            piece = continued(row, self.escape)
            starts.append((size, self._at, column))
            pieces.append(row if piece is None else piece)
            size += len(pieces[-1])
            if piece is None:
                break
        return pieces, starts

    def _heredocs(self, keyword: str, body: str) -> tuple[tuple[Heredoc, ...], Opening | None]:
        """The bodies of the here-documents that the instruction's text begins, and the one that does not end."""
        if "<<" not in body:
            return (), None
        inner = body
        if keyword == "ONBUILD":
            keyword, inner = split_keyword(body)
        if keyword not in INSTRUCTIONS or is_exec(inner[skip(inner) :]):
            return (), None
        found: list[Heredoc] = []
        for one in openings(body):
            written = self._heredoc(one.name, one.chomp)
            if written is None:
                return tuple(found), one
            text = _TABS.sub("", written) if one.chomp else written
            found.append(Heredoc(one.name, text, one.expand, one.chomp, one.fd, written))
        return tuple(found), None

    def _heredoc(self, name: str, chomp: bool) -> str | None:
        """A body as it is written; None if it does not end."""
        start = self._at
        while self._at < len(self._rows):
            row = self._rows[self._at].rstrip("\r")
            self._at += 1
            if (row.lstrip("\t") if chomp else row) == name:
                return "".join(f"{line}\n" for line in self._rows[start : self._at - 1])
        return None


def split_keyword(text: str) -> tuple[str, str]:
    """The first word in upper case, and what follows it."""
    match = _KEYWORD.match(text)
    assert match is not None
    return match[1].upper(), text[match.end() :]


def continued(row: str, escape: str) -> str | None:
    """The row without the escape character that continues it; None if it is not continued."""
    cut = row.rstrip(" \t")
    if not cut.endswith(escape):
        return None
    cut = cut[:-1]
    return None if cut.endswith(escape) else cut


def _shifted(starts: Sequence[tuple[int, int, int]], skipped: int, size: int) -> tuple[tuple[int, int, int], ...]:
    """The starts of the text's pieces as starts in its body, without those of empty pieces."""
    shifted = [(max(start - skipped, 0), line, column + max(skipped - start, 0)) for start, line, column in starts]
    return tuple(
        item
        for n, item in enumerate(shifted)
        if (n + 1 == len(shifted) or shifted[n + 1][0] > item[0]) and (item[0] < size or item[0] == 0)
    ) or (shifted[0],)
