"""The instructions of a Dockerfile as values. Words are as written: nothing is expanded yet."""

from __future__ import annotations

from dataclasses import dataclass

from img.ir.values import Resources
from img_frontends.dockerfile.reader import Heredoc, Line

ANY = Resources()


@dataclass(frozen=True, slots=True)
class Flag:
    """``--name=value`` without its quotes; `value` is None for a bare one. `offset` is where it stands in the line."""

    name: str
    value: str | None
    offset: int
    written: str = ""
    """The flag as it is written."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands in the line's text."""

    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Instruction:
    """One parsed instruction.

    `words` are its arguments: for instructions of free text a single one; for ENV, LABEL and ARG one for each pair,
    with `pairs` telling name and value apart. `exec` says that it was written as a JSON array, `legacy` that it is
    an ENV or LABEL without ``=``.
    """

    line: Line
    flags: tuple[Flag, ...]
    words: tuple[Word, ...]
    exec: bool = False
    pairs: tuple[tuple[str, str | None], ...] = ()
    legacy: bool = False
    retry: int = 0
    """How often it is done again when it fails. No Dockerfile says this, nor what follows: only documents do."""
    resources: Resources = ANY
    fresh: bool = False
    """It is done anew in every build."""

    @property
    def keyword(self) -> str:
        return self.line.keyword

    @property
    def heredocs(self) -> tuple[Heredoc, ...]:
        return self.line.heredocs

    @property
    def text(self) -> str:
        """The arguments as one text."""
        return self.words[0].text if self.words else ""

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    def flag(self, name: str) -> str | None:
        """The value of a flag; empty for a bare one, None if it is not there, or is ``--name=``."""
        for flag in self.flags:
            if flag.name == name:
                return "" if flag.value is None else flag.value or None
        return None

    def all(self, name: str) -> tuple[Flag, ...]:
        """Every use of a flag that may come several times."""
        return tuple(flag for flag in self.flags if flag.name == name)
