"""Words: quotes, the escape character, and variables, as BuildKit's shell lexer has them (frontend/dockerfile/shell).

``$v ${v} ${v-w} ${v:-w} ${v+w} ${v:+w} ${v?w} ${v:?w} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}``; words in them
are expanded again; patterns know ``*`` and ``?``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SPECIAL = "0123456789@*#?-$!"


class ExpandError(ValueError):
    """A word can't be expanded; `offset` is where in it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def expand(word: str, variables: Mapping[str, str], escape: str = "\\", *, raw: bool = False) -> str:
    """The word without its quotes, variables replaced. With `raw`, quotes and escapes stay (heredoc bodies).

    Raises `ExpandError`.
    """
    return _Machine(word, variables, escape, raw).run("")


class _Machine:
    def __init__(self, word: str, variables: Mapping[str, str], escape: str, raw: bool) -> None:
        self._word = word
        self._variables = variables
        self._escape = escape
        self._raw = raw
        self._at = 0

    def run(self, stop: str) -> str:
        """Expand up to an unquoted character of `stop`, or to the end."""
        out: list[str] = []
        while self._at < len(self._word):
            character = self._word[self._at]
            if stop and character in stop:
                return "".join(out)
            if character == "$":
                out.append(self._dollar())
            elif self._raw:
                self._at += 1
                if character == self._escape and self._word[self._at : self._at + 1] == "$":
                    out.append("$")
                    self._at += 1
                else:
                    out.append(character)
            elif character == "'":
                out.append(self._single())
            elif character == '"':
                out.append(self._double())
            elif character == self._escape:
                self._at += 1
                out.append(self._word[self._at : self._at + 1])
                self._at += 1
            else:
                out.append(character)
                self._at += 1
        if stop:
            raise ExpandError(f"a {stop[0]} is missing", len(self._word))
        return "".join(out)

    def _single(self) -> str:
        start = self._at
        end = self._word.find("'", start + 1)
        if end < 0:
            raise ExpandError("unterminated quote: a ' is missing", start)
        self._at = end + 1
        return self._word[start + 1 : end]

    def _double(self) -> str:
        start = self._at
        self._at += 1
        out: list[str] = []
        while self._at < len(self._word):
            character = self._word[self._at]
            if character == '"':
                self._at += 1
                return "".join(out)
            if character == "$":
                out.append(self._dollar())
                continue
            self._at += 1
            if character == self._escape and self._at < len(self._word):
                follower = self._word[self._at]
                out.append(follower if follower in ('"', "$", self._escape) else character + follower)
                self._at += 1
            else:
                out.append(character)
        raise ExpandError('unterminated quote: a " is missing', start)

    def _dollar(self) -> str:
        start = self._at
        self._at += 1
        if self._at >= len(self._word):
            return "$"
        if self._word[self._at] == "{":
            self._at += 1
            return self._braces(start)
        name = self._name()
        return self._variables.get(name, "") if name else "$"

    def _name(self) -> str:
        match = re.compile(r"[^\W\d]\w*").match(self._word, self._at)
        if match:
            self._at = match.end()
            return match[0]
        if self._word[self._at : self._at + 1] and self._word[self._at] in SPECIAL:
            self._at += 1
            return self._word[self._at - 1]
        return ""

    def _braces(self, start: int) -> str:
        name = self._name()
        if not name:
            raise ExpandError("bad substitution: a name is missing after ${", start)
        value = self._variables.get(name)
        operator = self._word[self._at : self._at + 1]
        self._at += 1
        if operator == "}":
            return value or ""
        colon = operator == ":"
        if colon:
            operator = self._word[self._at : self._at + 1]
            self._at += 1
        if operator and operator in "-+?":
            return self._default(name, value, operator, colon, start)
        if operator and operator in "#%" and not colon:
            return self._strip(value or "", operator)
        if operator == "/" and not colon:
            return self._replace(value or "")
        shown = self._word[start : self._at]
        raise ExpandError(f"unsupported modifier in {shown!r}", start)

    def _default(self, name: str, value: str | None, operator: str, colon: bool, start: int) -> str:
        word = self._operand()
        there = bool(value) if colon else value is not None
        if operator == "-":
            return value or "" if there else word
        if operator == "+":
            return word if there else ""
        if not there:
            raise ExpandError(f"{name}: {word or 'it must be set'}", start)
        return value or ""

    def _strip(self, value: str, operator: str) -> str:
        greedy = self._word[self._at : self._at + 1] == operator
        self._at += greedy
        pattern = _pattern(self._operand(), greedy or operator == "%")
        if operator == "#":
            match = re.match(pattern, value, re.S)
            return value[match.end() :] if match else value
        starts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
        for start in starts:
            if re.fullmatch(pattern, value[start:], re.S):
                return value[:start]
        return value

    def _replace(self, value: str) -> str:
        every = self._word[self._at : self._at + 1] == "/"
        self._at += every
        pattern = _pattern(self.run("/}"), True)
        replacement = ""
        if self._word[self._at : self._at + 1] == "/":
            self._at += 1
            replacement = self.run("}")
        self._at += 1
        if not pattern:
            return value
        return re.sub(pattern, lambda match: replacement, value, count=0 if every else 1, flags=re.S)

    def _operand(self) -> str:
        word = self.run("}")
        self._at += 1
        return word


def _pattern(text: str, greedy: bool) -> str:
    """A shell pattern with ``*`` and ``?`` as a regular expression."""
    star = ".*" if greedy else ".*?"
    out: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\" and at + 1 < len(text):
            at += 1
            out.append(re.escape(text[at]))
        else:
            out.append(star if character == "*" else "." if character == "?" else re.escape(character))
        at += 1
    return "".join(out)
