"""Words: quotes, the escape character, and variables, as BuildKit's shell lexer has them (frontend/dockerfile/shell).

``$v ${v} ${v-w} ${v:-w} ${v+w} ${v:+w} ${v?w} ${v:?w} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}``; words in them
are expanded again. ``$1``, ``$@`` and their like are never set. Time grows with the length of the word; nesting ends
at `DEPTH`, and what a word may become at `SIZE`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from img_frontends.dockerfile import glob
from img_frontends.dockerfile.space import BLANKS

QUOTES = "'\"<"
SPECIAL = "@*#?-$!0"
DEPTH = 100
"""How deep ``${a:-${b:-…}}`` may go."""
SIZE = 1 << 24
"""How many characters a word may become: ``ENV A=$A$A`` a few dozen times would else fill the memory."""

_BLANKS = re.compile(f"[{BLANKS}]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@cache
def _plain(escape: str, quotes: bool) -> re.Pattern[str]:
    """A run of characters that mean nothing, be it in braces."""
    return re.compile(f"[^$}}/{re.escape(escape)}{QUOTES if quotes else ''}]+")


class ExpandError(ValueError):
    """A word can't be expanded; `offset` is where in it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Expansion(NamedTuple):
    """What became of a word."""

    text: str
    words: tuple[str, ...]
    """`text` split at white space that no quote or escape protects; empty words are dropped."""
    used: tuple[str, ...]
    """Names that were looked up and are set, in order, each once."""
    unset: tuple[str, ...]
    """Names that were looked up and are not set."""


def expand(
    word: str, variables: Mapping[str, str], escape: str = "\\", *, raw: bool = False, keep_unset: bool = False
) -> str:
    """The word without its quotes, variables replaced. Raises `ExpandError`.

    `raw` is for heredoc bodies: quotes mean nothing, and the escape character is always the backslash (it goes, and
    the character after it stays). `keep_unset` leaves variables that are not set as they are written: for titles.
    """
    return expansion(word, variables, escape, raw=raw, keep_unset=keep_unset).text


def expand_words(word: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """The words that a word becomes: ``$PORTS`` may hold several. For EXPOSE. Raises `ExpandError`."""
    return list(expansion(word, variables, escape).words)


def expansion(
    word: str,
    variables: Mapping[str, str],
    escape: str = "\\",
    *,
    raw: bool = False,
    keep_unset: bool = False,
    verbatim: bool = False,
) -> Expansion:
    """The same with all there is to know. `verbatim` keeps quotes and escapes, but heeds them where it splits."""
    escape = "\\" if raw else escape
    if not {"$", "'", '"', "<", escape}.intersection(word):
        return Expansion(word, tuple(filter(None, _BLANKS.split(word))), (), ())
    machine = _Machine(word, variables, escape, not raw, keep_unset, verbatim)
    text = machine.run("", verbatim)
    return Expansion(text, tuple(machine.words()), tuple(machine.used), tuple(machine.unset))


class _Machine:
    def __init__(
        self, word: str, variables: Mapping[str, str], escape: str, quotes: bool, keep_unset: bool, verbatim: bool
    ) -> None:
        self._word = word
        self._variables = variables
        self._escape = escape
        self._keep_unset = keep_unset
        self._keep_quotes = verbatim
        self._keep_escapes = verbatim
        self._at = 0
        self._depth = 0
        self._words: list[str] = []
        self._piece: list[str] = []
        self._handlers = {"$": self._dollar}
        if quotes:
            self._handlers |= {"'": self._single, '"': self._double, "<": self._heredoc}
        self._plain = _plain(escape, quotes)
        self.used: dict[str, None] = {}
        self.unset: dict[str, None] = {}

    def words(self) -> list[str]:
        self._split(" ")
        return self._words

    def run(self, stop: str, keep_escapes: bool) -> str:
        """Expand up to the character `stop`, which is eaten, or to the end."""
        outer, self._keep_escapes = self._keep_escapes, keep_escapes
        out: list[str] = []
        start, size = self._at, 0
        while self._at < len(self._word):
            character = self._word[self._at]
            if character == stop:
                self._at += 1
                self._keep_escapes = outer
                return "".join(out)
            at = self._at
            out.append(self._next(character))
            size += len(out[-1])
            if size > SIZE:
                raise ExpandError(f"the text becomes longer than {SIZE} characters", at)
        if stop:
            raise ExpandError(f"a {stop} is missing", start)
        self._keep_escapes = outer
        return "".join(out)

    def _next(self, character: str) -> str:
        """What stands at the place, expanded; told to the words if this is the outermost text."""
        handler = self._handlers.get(character)
        if handler is not None:
            text = handler()
            self._add(text, character == "$")
            return text
        if character == self._escape:
            text = self._word[self._at + 1 : self._at + 2]
            shown = character + text if self._keep_escapes else text
            self._at += 2
            self._add(shown, False)
            return shown
        match = self._plain.match(self._word, self._at)
        text = match[0] if match else character
        self._at += len(text)
        self._add(text, True)
        return text

    def _add(self, text: str, splits: bool) -> None:
        if self._depth:
            return
        if splits:
            self._split(text)
        else:
            self._piece.append(text)

    def _split(self, text: str) -> None:
        parts = _BLANKS.split(text)
        for part in parts[:-1]:
            word = "".join((*self._piece, part))
            if word:
                self._words.append(word)
            self._piece = []
        self._piece.append(parts[-1])

    def _heredoc(self) -> str:
        """``<<`` takes the blanks after it into its word."""
        start = self._at
        self._at += 1
        if self._word[self._at : self._at + 1] == "<":
            self._at += 1
            while self._at < len(self._word) and self._word[self._at] in BLANKS:
                self._at += 1
        return self._word[start : self._at]

    def _single(self) -> str:
        start = self._at
        end = self._word.find("'", start + 1)
        if end < 0:
            raise ExpandError("unterminated quote: a ' is missing", start)
        self._at = end + 1
        return self._word[start : end + 1] if self._keep_quotes else self._word[start + 1 : end]

    def _double(self) -> str:
        start = self._at
        self._at += 1
        out: list[str] = ['"'] if self._keep_quotes else []
        while self._at < len(self._word):
            character = self._word[self._at]
            if character == "$":
                self._depth += 1
                out.append(self._dollar())
                self._depth -= 1
                continue
            self._at += 1
            if character == '"':
                if self._keep_quotes:
                    out.append('"')
                return "".join(out)
            if character == self._escape:
                if self._keep_escapes:
                    out.append(character)
                follower = self._word[self._at : self._at + 1]
                if follower and follower in ('"', "$", self._escape):
                    character = follower
                    self._at += 1
            out.append(character)
        raise ExpandError('unterminated quote: a " is missing', start)

    def _dollar(self) -> str:
        start = self._at
        self._at += 1
        if self._word[self._at : self._at + 1] != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            if value is None and self._keep_unset:
                return f"${name}"
            return value or ""
        if self._depth >= DEPTH:
            raise ExpandError(f"variables are nested more than {DEPTH} deep", start)
        self._at += 1
        self._depth += 1
        text = self._braces(start)
        self._depth -= 1
        return text

    def _name(self) -> str:
        """A name; all digits of a number; one special character; or nothing."""
        word, start = self._word, self._at
        match = _NAME.match(word, start)
        end = match.end() if match else start
        first = word[end : end + 1]
        if end == start and first.isdecimal():
            while word[end : end + 1].isdecimal():
                end += 1
        elif end == start and first and first in SPECIAL:
            end += 1
        else:
            while end < len(word) and (word[end] == "_" or word[end].isalpha() or word[end].isdecimal()):
                end += 1
        self._at = end
        return word[start:end]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.unset if value is None else self.used)[name] = None
        return value

    def _braces(self, start: int) -> str:
        first = self._word[self._at : self._at + 1]
        if not first:
            raise ExpandError("a } is missing", start)
        if first in "{}:":
            raise ExpandError("bad substitution: a name is missing after ${", start)
        name = self._name()
        operator = self._word[self._at : self._at + 1]
        self._at += 1
        if not operator:
            raise ExpandError("a } is missing", start)
        if operator == "}":
            value = self._value(name)
            return f"${{{name}}}" if value is None and self._keep_unset else value or ""
        if operator == "/":
            return self._replace(name, start)
        if operator == ":":
            operator += self._word[self._at : self._at + 1]
            self._at += 1
        elif operator not in "-+?#%":
            raise ExpandError(f"unsupported modifier {operator!r} in a substitution", start)
        return self._modified(name, operator, start)

    def _operand(self, stop: str, keep_escapes: bool, start: int) -> str:
        """A word inside braces. What is missing is told at the ``$`` that began it."""
        try:
            return self.run(stop, keep_escapes)
        except ExpandError as error:
            if str(error) == f"a {stop} is missing":
                error.offset = start
            raise

    def _modified(self, name: str, operator: str, start: int) -> str:
        kind = operator[-1]
        word = self._operand("}", kind in "#%", start)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}{operator}{word}}}"
        there = value is not None and (value != "" or operator[0] != ":")
        if kind == "-":
            return value or "" if there else word
        if kind == "+":
            return word if there else ""
        if kind == "?":
            if not there:
                problem = "it must be set" if value is None else "it must not be empty"
                raise ExpandError(f"{name}: {word or problem}", start)
            return value or ""
        if operator not in ("#", "%"):
            raise ExpandError(f"unsupported modifier {operator!r} in a substitution", start)
        longest = word.startswith(kind)
        strip = glob.strip_prefix if kind == "#" else glob.strip_suffix
        try:
            return strip(value or "", word[longest:], longest)
        except glob.GlobError as error:
            raise ExpandError(str(error), start) from None

    def _replace(self, name: str, start: int) -> str:
        every = self._word[self._at : self._at + 1] == "/"
        self._at += every
        pattern = self._operand("/", True, start)
        replacement = self._operand("}", True, start)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}/{'/' * every}{pattern}/{replacement}}}"
        try:
            if every:
                return glob.replace_all(value or "", pattern, replacement, SIZE)
            return glob.replace_first(value or "", pattern, replacement)
        except glob.GlobError as error:
            raise ExpandError(str(error), start) from None
