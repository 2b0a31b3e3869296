"""From the bytes of a Dockerfile to its instructions: directives, comments, continued lines, heredoc bodies.

The rules are BuildKit's (frontend/dockerfile/parser): directives come first; a comment or an empty line inside a
continued instruction is dropped; white space before a continued line stays. Every instruction knows where in the file
each of its characters stands.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from img.errors import FrontendError, Place

MAX_LINE = 65535
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
DIRECTIVES = ("syntax", "escape", "check")

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_HEREDOC = re.compile(r"""(?:^|(?<=[\s;|&(]))(\d*)<<(-?)\s*(?:(["'])([^\s"']+)\3|([A-Za-z_][\w.-]*))""")


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

    def place(self, offset: int = 0) -> Place:
        """The place of the character at `offset` of `text`."""
        index = max(bisect_right([start for start, _, _ in self.starts], offset) - 1, 0)
        start, line, column = self.starts[index]
        shown = self.source.split("\n")
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


def read(data: bytes, file: str) -> Script:
    """Read a Dockerfile. Raises `FrontendError` with the place of what is wrong."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    rows = [row.removesuffix("\r") for row in text.split("\n")]
    if not text.strip():
        raise FrontendError(f"{file} is empty", hint="a Dockerfile begins with FROM", place=Place(file, 1))
    directives = _directives(rows, file)
    escape = directives.get("escape", "\\")
    reader = _Reader(rows, file, escape)
    lines = tuple(reader.lines())
    if not lines:
        raise FrontendError(f"{file} has no instructions", hint="a Dockerfile begins with FROM", place=Place(file, 1))
    return Script(directives, escape, lines)


def _directives(rows: Sequence[str], file: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if number == 1 and row.startswith("#!"):
            continue
        match = _DIRECTIVE.match(row.strip())
        if match is None or match[1].lower() not in DIRECTIVES:
            break
        name = match[1].lower()
        place = Place(file, number, 1, number, row)
        if name in found:
            raise FrontendError(f"only one {name} parser directive can be used", place=place)
        if name == "escape" and match[2] not in ("\\", "`"):
            raise FrontendError(f"the escape character can't be {match[2]!r}", hint="it is \\ or `", place=place)
        found[name] = match[2]
    return found


class _Reader:
    def __init__(self, rows: Sequence[str], file: str, escape: str) -> None:
        self._rows = rows
        self._file = file
        self._continued = re.compile(rf"(?:(?<=[^{re.escape(escape)}])|^){re.escape(escape)}[ \t]*\Z")
        self._at = 0

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        while self._at < len(self._rows):
            row = self._rows[self._at]
            stripped = row.strip()
            if not stripped or stripped.startswith("#"):
                self._at += 1
                continue
            line = self._line()
            if line is not None:
                lines.append(line)
        return lines

    def _line(self) -> Line | None:
        """One instruction from the current row on; None if nothing is left once it is joined."""
        first = self._at
        pieces: list[str] = []
        starts: list[tuple[int, int, int]] = []
        size = 0
        going = True
        while going and self._at < len(self._rows):
            row = self._rows[self._at]
            self._check_length(row)
            self._at += 1
            if pieces and (not row.strip() or row.lstrip().startswith("#")):
                continue
            column = 1
            if not pieces:
                column += len(row) - len(row.lstrip())
                row = row.lstrip()
            cut = self._continued.search(row)
            going = cut is not None
            piece = row[: cut.start()] if cut else row
            starts.append((size, self._at, column))
            pieces.append(piece)
            size += len(piece)
        text = "".join(pieces)
        if not text.strip():
            return None
        return self._finish(text, first, starts)

    def _check_length(self, row: str) -> None:
        if len(row) > MAX_LINE:
            place = Place(self._file, self._at + 1, 1, self._at + 1, row[:80])
            raise FrontendError(f"the line is longer than {MAX_LINE} characters", place=place)

    def _finish(self, text: str, first: int, starts: list[tuple[int, int, int]]) -> Line:
        word = text.split(None, 1)[0]
        keyword = word.upper()
        rest = text[len(word) :]
        skipped = len(word) + len(rest) - len(rest.lstrip())
        body = text[skipped:].rstrip()
        shifted = tuple(
            (max(start - skipped, 0), line, column + max(skipped - start, 0)) for start, line, column in starts
        )
        kept = tuple(item for n, item in enumerate(shifted) if n + 1 == len(shifted) or shifted[n + 1][0] > item[0])
        head = Line(keyword, body, (), self._file, first + 1, self._at, "\n".join(self._rows[first : self._at]), kept)
        if keyword not in KEYWORDS:
            near = get_close_matches(keyword, KEYWORDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"instructions are {', '.join(KEYWORDS)}"
            row = self._rows[first]
            place = Place(self._file, first + 1, 1 + len(row) - len(row.lstrip()), first + 1, row)
            raise FrontendError(f"unknown instruction: {word}", hint=hint, place=place)
        heredocs = self._heredocs(keyword, body, head)
        source = "\n".join(self._rows[first : self._at])
        return Line(keyword, body, heredocs, self._file, first + 1, self._at, source, kept)

    def _heredocs(self, keyword: str, body: str, head: Line) -> tuple[Heredoc, ...]:
        """The bodies of the here-documents that the instruction's text begins."""
        inner = body.split(None, 1)[0].upper() if keyword == "ONBUILD" and body else keyword
        if inner not in ("RUN", "COPY", "ADD") or "<<" not in body or _is_json(body):
            return ()
        found: list[Heredoc] = []
        for match in _HEREDOC.finditer(body):
            name = match[4] or match[5]
            text = self._heredoc(name, bool(match[2]), head.place(match.start()))
            found.append(Heredoc(name, text, match[4] is None, bool(match[2]), int(match[1] or 0)))
        return tuple(found)

    def _heredoc(self, name: str, chomp: bool, place: Place) -> str:
        body: list[str] = []
        while self._at < len(self._rows):
            row = self._rows[self._at]
            self._at += 1
            if (row.lstrip("\t") if chomp else row) == name:
                return "".join(f"{line}\n" for line in body)
            body.append(row.lstrip("\t") if chomp else row)
        raise FrontendError(
            f"unterminated heredoc {name}", hint=f"end it with a line that holds only {name}", place=place
        )


def _is_json(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")
