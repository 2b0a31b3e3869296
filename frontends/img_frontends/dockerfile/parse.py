"""Lines to instructions, by the grammar in ``dockerfile.lark``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from img.errors import FrontendError
from img_frontends.dockerfile.reader import Line, Script
from img_frontends.dockerfile.tree import Flag, Instruction, Word

STARTS = ("text", "words", "exec", "pairs", "legacy")
JSON_ALLOWED = ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME")

FLAGS = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
}
SWITCHES = ("link", "parents", "keep-git-dir", "unpack")
REPEATED = ("mount", "device", "exclude")


@cache
def grammar(escape: str) -> Any:
    """The LALR parser for files with this escape character."""
    from lark import Lark

    text = (Path(__file__).parent / "dockerfile.lark").read_text(encoding="utf-8")
    return Lark(text.replace("ESCAPE", re.escape(escape)), parser="lalr", start=list(STARTS), maybe_placeholders=False)


def parse(script: Script) -> tuple[Instruction, ...]:
    """Every instruction. Raises one `FrontendError` for all independent problems."""
    instructions: list[Instruction] = []
    problems: list[FrontendError] = []
    for line in script.lines:
        try:
            instructions.append(parse_line(line, script.escape))
        except FrontendError as error:
            problems.append(error)
    if problems:
        raise joined(problems)
    return tuple(instructions)


def joined(problems: list[FrontendError]) -> FrontendError:
    """The first of several problems, carrying the others."""
    first = problems[0]
    first.others = (*first.others, *problems[1:])
    return first


def parse_line(line: Line, escape: str) -> Instruction:
    """One instruction. Raises `FrontendError`."""
    keyword = line.keyword
    if not line.text and keyword not in ("RUN", "CMD", "ENTRYPOINT"):
        raise FrontendError(f"{keyword} requires at least one argument", place=line.whole)
    if keyword in ("ENV", "LABEL", "ARG"):
        return _pairs(line, escape)
    start = "words" if keyword in ("FROM", "COPY", "ADD", "EXPOSE", "VOLUME") else "text"
    tokens = None
    if keyword in JSON_ALLOWED and "[" in line.text and line.text.endswith("]"):
        tokens = _try("exec", line, escape)
    as_json = tokens is not None
    if tokens is None:
        tokens = _tokens(start, line, escape)
    flags = tuple(_flag(token) for token in tokens if token.type == "FLAG")
    _check_flags(line, flags)
    words = tuple(Word(_text(token), token.start_pos) for token in tokens if token.type in ("PLAIN", "REST", "STRING"))
    return Instruction(line, flags, words, as_json)


def _text(token: Any) -> str:
    return str(json.loads(token)) if token.type == "STRING" else str(token)


def _try(start: str, line: Line, escape: str) -> list[Any] | None:
    """Tokens of a form that the line may have; None if it has not."""
    from lark.exceptions import UnexpectedInput

    try:
        return _leaves(grammar(escape).parse(line.text, start=start))
    except UnexpectedInput:
        return None


def _tokens(start: str, line: Line, escape: str) -> list[Any]:
    from lark.exceptions import UnexpectedInput

    try:
        return _leaves(grammar(escape).parse(line.text, start=start))
    except UnexpectedInput as error:
        offset = getattr(error, "pos_in_stream", None) or 0
        at = line.text[offset : offset + 1]
        problem = "unterminated quote" if at in "\"'" and at else f"unexpected {line.text[offset : offset + 20]!r}"
        hint = f"close it with {at}" if problem == "unterminated quote" else f"see what {line.keyword} takes"
        raise FrontendError(f"{line.keyword}: {problem}", hint=hint, place=line.place(offset)) from None


def _leaves(tree: Any) -> list[Any]:
    """The tokens of a tree, in order."""
    return [child for child in tree.children if child is not None]


def _flag(token: Any) -> Flag:
    name, equals, value = str(token)[2:].partition("=")
    return Flag(name, value if equals else None, token.start_pos)


def _check_flags(line: Line, flags: Iterable[Flag]) -> None:
    known = FLAGS.get(line.keyword, ())
    seen: set[str] = set()
    for flag in flags:
        place = line.place(flag.offset)
        if flag.name not in known:
            near = get_close_matches(flag.name, known, 1)
            hint = f"did you mean --{near[0]}?" if near else f"{line.keyword} has {_listed(known)}"
            raise FrontendError(f"unknown flag --{flag.name} of {line.keyword}", hint=hint, place=place)
        if flag.name in seen and flag.name not in REPEATED:
            raise FrontendError(f"the flag --{flag.name} is given twice", place=place)
        seen.add(flag.name)
        if flag.name in SWITCHES:
            if flag.value is not None and flag.value.lower() not in ("true", "false"):
                raise FrontendError(f"--{flag.name} is true or false, not {flag.value!r}", place=place)
        elif not flag.value:
            raise FrontendError(f"the flag --{flag.name} needs a value", hint=f"--{flag.name}=…", place=place)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in names) or "no flags"


def _pairs(line: Line, escape: str) -> Instruction:
    """ENV, LABEL, ARG: ``name=value`` words, or the old ``name rest of the line``."""
    tokens = _tokens("pairs", line, escape)
    words = tuple(Word(str(token), token.start_pos) for token in tokens)
    if line.keyword == "ARG":
        pairs = tuple(_split(word.text) for word in words)
    elif "=" not in words[0].text:
        if len(words) < 2:
            place = line.place(words[0].offset)
            raise FrontendError(f"{line.keyword} must have two arguments", hint="name=value", place=place)
        name, rest = _leaves(grammar(escape).parse(line.text, start="legacy"))
        pairs = ((str(name), str(rest)),)
        words = (Word(f"{name}={rest}", name.start_pos),)
    else:
        pairs = tuple(_split(word.text) for word in words)
        for word, (name, value) in zip(words, pairs, strict=True):
            if value is None:
                hint = "write name=value; quote a value that has blanks"
                raise FrontendError(f"{name!r} has no =", hint=hint, place=line.place(word.offset))
    for word, (name, _) in zip(words, pairs, strict=True):
        if not name:
            raise FrontendError(f"{line.keyword} names can't be empty", place=line.place(word.offset))
    return Instruction(line, (), words, False, pairs)


def _split(word: str) -> tuple[str, str | None]:
    name, equals, value = word.partition("=")
    return name, value if equals else None
