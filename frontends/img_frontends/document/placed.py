"""Instructions made of parts that stand somewhere in a document."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from img.errors import Place
from img_frontends.dockerfile.reader import Heredoc, Line
from img_frontends.dockerfile.tree import Flag, Instruction, Word


@dataclass(frozen=True, slots=True)
class PlacedLine(Line):
    """An instruction's line whose pieces come from a document: (offset in `text`, place), the first for all before."""

    spots: tuple[tuple[int, Place], ...] = field(default=(), repr=False)
    where: Place | None = None

    def place(self, offset: int = 0) -> Place:
        """The place of the value that the character at `offset` is part of."""
        index = max(bisect_right(self.spots, offset, key=lambda spot: spot[0]) - 1, 0)
        return self.spots[index][1] if self.spots else self.whole

    @property
    def whole(self) -> Place:
        return self.where or Place(self.file, 1)


class Sheet:
    """An instruction that is being written: flags, then words, each with its place."""

    def __init__(self, keyword: str, place: Place) -> None:
        self._keyword = keyword
        self._place = place
        self._text = ""
        self._spots: list[tuple[int, Place]] = []
        self._flags: list[Flag] = []
        self._words: list[Word] = []
        self._pairs: list[tuple[str, str | None]] = []

    def flag(self, name: str, value: str | None, place: Place | None = None) -> None:
        """Add ``--name=value``; without a value ``--name``."""
        shown = f"--{name}" if value is None else f"--{name}={value}"
        self._flags.append(Flag(name, value, self._piece(shown, place)))

    def word(self, text: str, place: Place | None = None) -> None:
        """Add a word, as an instruction has it."""
        self._words.append(Word(text, self._piece(text, place)))

    def pair(self, name: str, value: str | None, place: Place | None = None) -> None:
        """Add ``name=value``; without a value the name."""
        text = name if value is None else f"{name}={value}"
        self._words.append(Word(text, self._piece(text, place)))
        self._pairs.append((name, value))

    def done(
        self, exec: bool = False, heredocs: tuple[Heredoc, ...] = (), comments: tuple[str, ...] = ()
    ) -> Instruction:
        """The instruction."""
        place = self._place
        above = tuple(f"# {one}".rstrip() for one in comments)
        line = PlacedLine(
            self._keyword,
            self._text,
            heredocs,
            place.file,
            place.line,
            place.line,
            place.text,
            (),
            self._keyword,
            above=above,
            spots=tuple(self._spots),
            where=place,
        )
        return Instruction(line, tuple(self._flags), tuple(self._words), exec, tuple(self._pairs))

    def _piece(self, text: str, place: Place | None) -> int:
        if self._text:
            self._text += " "
        offset = len(self._text)
        self._text += text
        self._spots.append((offset, place or self._place))
        return offset
