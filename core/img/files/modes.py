"""File modes as ``--chmod`` takes them: octal, or symbolic as in chmod(1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from img.errors import FileError

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]+|[ugo])?)+)\Z")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}


@dataclass(frozen=True, slots=True)
class Mode:
    """A parsed ``--chmod``: a number, or symbolic clauses."""

    number: int | None
    clauses: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Raises `FileError` for text that is neither."""
        if text.isdigit():
            if len(text.lstrip("0")) > 4 or set(text) & set("89"):
                raise FileError(f"{text!r} is not a mode", hint="octal, at most 7777, e.g. 755")
            return cls(int(text, 8))
        clauses: list[tuple[str, str, str]] = []
        for part in text.split(","):
            found = _CLAUSE.match(part)
            if found is None:
                raise FileError(f"{text!r} is not a mode", hint="write it like 755 or u=rwX,go=rX")
            who = "ugo" if not found[1] or "a" in found[1] else found[1]
            clauses.extend((who, sign, what) for sign, what in _ACTION.findall(found[2]))
        return cls(None, tuple(clauses))

    @property
    def made(self) -> int:
        """The mode of folders that are made on the way: BuildKit makes them with an octal ``--chmod``, under a umask
        of 022 (which leaves no special bits either), and never touches them again."""
        return 0o755 if self.number is None else self.number & 0o755

    def applied(self, mode: int, folder: bool) -> int:
        """The mode that a file of `mode` gets."""
        if self.number is not None:
            return self.number
        for who, sign, what in self.clauses:
            mode = _apply(mode, folder, who, sign, what)
        return mode


def _apply(mode: int, folder: bool, who: str, sign: str, what: str) -> int:
    bits, mask = 0, 0
    for one in who:
        shift = _SHIFT[one]
        mask |= 7 << shift
        if what and what in _SHIFT:
            bits |= (mode >> _SHIFT[what] & 7) << shift
            continue
        for letter in what:
            if letter == "X" and not (folder or mode & 0o111):
                continue
            bits |= {"r": 4, "w": 2, "x": 1, "X": 1, "s": 0, "t": 0}[letter] << shift
        if "s" in what and one in "ug":
            bits |= 0o4000 if one == "u" else 0o2000
    if "t" in what:
        bits |= 0o1000
    if sign == "+":
        return mode | bits
    if sign == "-":
        return mode & ~bits
    special = (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
    return mode & ~(mask | (0 if folder else special)) | bits
