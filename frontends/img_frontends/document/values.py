"""What YAML and TOML are read into: values that know where they stand. No tree is deeper or larger than the bounds."""

from __future__ import annotations

from dataclasses import dataclass

from img.errors import FrontendError, Place

DEPTH = 40
"""How deep a document may be nested."""
NODES = 100_000
"""How many values it may have, those that come again by an alias counted each time."""

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a table, and its value."""

    name: str
    line: int
    column: int
    value: Value


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar, a list (a tuple of `Value`) or a table (a tuple of `Entry`); `kind` says which."""

    kind: str
    """``scalar``, ``list`` or ``table``."""
    content: Scalar | tuple[Value, ...] | tuple[Entry, ...]
    line: int = 1
    column: int = 1
    written: str = ""
    """A number or boolean as it is written."""

    @property
    def items(self) -> tuple[Value, ...]:
        return self.content if self.kind == "list" else ()  # type: ignore[return-value]

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.content if self.kind == "table" else ()  # type: ignore[return-value]

    @property
    def scalar(self) -> Scalar:
        return None if isinstance(self.content, tuple) else self.content


class Text:
    """A file's text: for places, and for the comments above a line."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.rows = text.split("\n")

    def place(self, line: int, column: int) -> Place:
        row = self.rows[line - 1].rstrip("\r") if 0 < line <= len(self.rows) else ""
        return Place(self.file, line, column, line, row[: max(column + 100, 500)] if column < 10_000 else "")

    def comments(self, line: int, column: int) -> tuple[str, ...]:
        """The rows of comments right above `line`, without ``#`` and one blank. What is indented further than `column`, or
        ends a text of several rows, is no comment but part of a text."""
        found: list[str] = []
        at = line - 2
        while at >= 0 and self.rows[at].strip().startswith("#"):
            row = self.rows[at]
            text = row.strip()
            if len(row) - len(row.lstrip()) >= column or text.endswith(("'''", '"""')):
                break
            found.append(text[1:].removeprefix(" "))
            at -= 1
        return tuple(reversed(found))

    def head(self) -> tuple[str, ...]:
        """The comments at the top that an empty row, or the end, follows; a ``syntax`` line is none."""
        found: list[str] = []
        for row in self.rows:
            text = row.strip()
            if not text.startswith("#"):
                return tuple(found) if not text else ()
            comment = text[1:].removeprefix(" ")
            if not (comment.replace(" ", "").lower().startswith("syntax=") and not found):
                found.append(comment)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Tree:
    """A read file."""

    text: Text
    root: Value


def decoded(data: bytes, file: str) -> str:
    """The text of a document. Raises `FrontendError`."""
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        place = Place(file, line, column)
        raise FrontendError(f"{file} is not UTF-8", hint="save it as UTF-8", place=place) from None
    if not text.strip():
        raise FrontendError(f"{file} is empty", hint="a document says at least from: IMAGE", place=Place(file, 1))
    return text
