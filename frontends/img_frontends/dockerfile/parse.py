"""Lines to instructions, by the grammar in ``dockerfile.lark``; plain ones by `plain`, which knows a part of it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from img.errors import FrontendError, Place
from img_frontends.common.problems import joined
from img_frontends.dockerfile import plain
from img_frontends.dockerfile.flags import FLAGS, REPEATED, SINCE, SWITCHES, NotStrings, skip, strings, unquoted
from img_frontends.dockerfile.reader import KEYWORDS, Line, Script, split_keyword
from img_frontends.dockerfile.tree import Flag, Instruction, Word

JSON_ALLOWED = ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME")
IN_WORDS = ("FROM", "COPY", "ADD", "EXPOSE", "VOLUME")
IN_PAIRS = ("ENV", "LABEL", "ARG")
MAY_BE_EMPTY = ("RUN", "CMD", "ENTRYPOINT")
MOST = 10
"""How many problems of one instruction are told."""


class Token(NamedTuple):
    """A flag, or an argument, and where it stands."""

    kind: str
    text: str
    offset: int


def parse(script: Script) -> tuple[Instruction, ...]:
    """Every instruction. Raises one `FrontendError` for all independent problems, those of the reader among them."""
    instructions, problems = parse_all(script)
    if problems:
        raise joined(sorted(problems, key=lambda error: error.place.line if error.place else 0))
    return instructions


def parse_all(script: Script) -> tuple[tuple[Instruction, ...], list[FrontendError]]:
    """Every instruction that can be read, and why the others can't, with the problems of the reader."""
    instructions: list[Instruction] = []
    problems: list[FrontendError] = list(script.problems)
    for line in script.lines:
        try:
            instructions.append(parse_line(line, script.escape))
        except FrontendError as error:
            problems.append(error)
    return tuple(instructions), problems


def parse_line(line: Line, escape: str) -> Instruction:
    """One instruction. Raises `FrontendError`."""
    if line.keyword not in KEYWORDS:
        raise _unknown(line)
    if line.problem is not None:
        raise line.problem
    instruction = _pairs(line, escape) if line.keyword in IN_PAIRS else _arguments(line, escape)
    _check_flags(instruction)
    if not instruction.words and line.keyword not in MAY_BE_EMPTY:
        raise FrontendError(f"{line.keyword} requires at least one argument", place=line.whole)
    if line.keyword == "ONBUILD":
        _check_trigger(instruction, escape)
    return instruction


def _unknown(line: Line) -> FrontendError:
    near = get_close_matches(line.keyword[:20], KEYWORDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"instructions are {', '.join(KEYWORDS)}"
    row = line.source.partition("\n")[0]
    place = Place(line.file, line.first, max(row.find(line.word[:1]), 0) + 1, line.first, row)
    return FrontendError(f"unknown instruction: {line.word[:80]}", hint=hint, place=place)


def _arguments(line: Line, escape: str) -> Instruction:
    """An instruction of free text, or of words, or in JSON form."""
    at = skip(line.text)
    after = line.text[at:]
    if line.keyword in JSON_ALLOWED and after.startswith("["):
        try:
            members = strings(after)
        except NotStrings:
            raise _not_strings(line, at) from None
        if members is not None:
            tokens = _tokens("exec", line, escape)
            offsets = [token.offset for token in tokens if token.kind == "STRING"]
            words = tuple(Word(text, offset) for text, offset in zip(members, offsets, strict=True))
            return Instruction(line, _flags(tokens), words, True)
    if line.keyword == "HEALTHCHECK":
        _check_health(line, at)
    tokens = _tokens("words" if line.keyword in IN_WORDS else "text", line, escape)
    words = tuple(Word(token.text, token.offset) for token in tokens if token.kind not in ("FLAG", "END"))
    return Instruction(line, _flags(tokens), words)


def _not_strings(line: Line, offset: int) -> FrontendError:
    hint = "put every member in double quotes"
    return FrontendError(f"{line.keyword}: a JSON array may hold strings only", hint=hint, place=line.place(offset))


def _check_health(line: Line, at: int) -> None:
    """HEALTHCHECK CMD may be followed by a JSON array, which has to be one of strings."""
    _, rest = split_keyword(line.text[at:])
    try:
        strings(rest)
    except NotStrings:
        raise _not_strings(line, len(line.text) - len(rest)) from None


def _check_trigger(instruction: Instruction, escape: str) -> None:
    """What ONBUILD keeps must itself be readable. Its flags are the business of the build it runs in."""
    outer = instruction.line
    keyword, text = split_keyword(instruction.text)
    if keyword not in KEYWORDS or keyword == "ONBUILD" or not text:
        return
    shift = instruction.words[0].offset + len(instruction.text) - len(text)
    starts = tuple(
        (max(start - shift, 0), line, column + max(shift - start, 0)) for start, line, column in outer.starts
    )
    kept = tuple(item for n, item in enumerate(starts) if n + 1 == len(starts) or starts[n + 1][0] > item[0])
    inner = Line(keyword, text, (), outer.file, outer.first, outer.last, outer.source, kept)
    if keyword in IN_PAIRS:
        _pairs(inner, escape)
    else:
        _arguments(inner, escape)


# --- tokens ------------------------------------------------------------------------------------------------------


def _tokens(start: str, line: Line, escape: str) -> list[Token]:
    """The tokens of the line's text. Raises `FrontendError`."""
    found = plain.tokens(start, line.text, escape)
    if found is not None:
        return [Token(*token) for token in found]
    tokens = by_grammar(start, line.text, escape)
    if isinstance(tokens, int):
        raise _unexpected(line, tokens, "\\" if line.text.startswith("--", tokens) else escape)
    return tokens


def by_grammar(start: str, text: str, escape: str) -> list[Token] | int:
    """The tokens that the grammar finds, or where it finds none."""
    from lark.exceptions import UnexpectedInput

    from img_frontends.dockerfile.grammar import grammar

    try:
        tree = grammar(escape).parse(text, start=start)
    except UnexpectedInput as error:
        return min(error.pos_in_stream or 0, len(text))
    return [Token(child.type, str(child), child.start_pos) for child in tree.children if child.type != "END"]


def _unexpected(line: Line, offset: int, escape: str) -> FrontendError:
    """The grammar stopped here: in all but odd cases at a word with an open quote."""
    rest = line.text[offset:]
    quote = plain.open_quote(rest, escape)
    if quote is None:
        problem, hint = f"unexpected {rest[:20]!r}", f"see what {line.keyword} takes"
        return FrontendError(f"{line.keyword}: {problem}", hint=hint, place=line.place(offset))
    place = line.place(offset + quote)
    hint = f"close it with {rest[quote]}"
    return FrontendError(f"{line.keyword}: unterminated quote", hint=hint, place=place)


# --- flags -------------------------------------------------------------------------------------------------------


def _flags(tokens: Iterable[Token]) -> tuple[Flag, ...]:
    return tuple(_flag(token) for token in tokens if token.kind == "FLAG")


def _flag(token: Token) -> Flag:
    name, equals, value = unquoted(token.text)[2:].partition("=")
    return Flag(name, value if equals else None, token.offset, token.text)


def _check_flags(instruction: Instruction) -> None:
    if not instruction.flags:
        return
    line = instruction.line
    if line.keyword == "HEALTHCHECK" and instruction.text.upper() == "NONE":
        return
    seen: set[str] = set()
    problems: list[FrontendError] = []
    for flag in instruction.flags:
        problem = _flag_problem(line, flag, seen)
        if problem is not None:
            problems.append(problem)
        if len(problems) == MOST:
            break
    if problems:
        raise joined(problems)


def _flag_problem(line: Line, flag: Flag, seen: set[str]) -> FrontendError | None:
    place = line.place(flag.offset)
    if flag.name not in FLAGS.get(line.keyword, ()):
        hint = _flag_hint(line.keyword, flag.name)
        return FrontendError(f"unknown flag --{flag.name[:80]} of {line.keyword}", hint=hint, place=place)
    if flag.name in seen and flag.name not in REPEATED:
        return FrontendError(f"the flag --{flag.name} is given twice", place=place)
    seen.add(flag.name)
    if flag.name in SWITCHES:
        if flag.value is not None and flag.value.lower() not in ("true", "false"):
            hint = f"--{flag.name}, --{flag.name}=true or --{flag.name}=false"
            problem = f"--{flag.name} is true or false, not {flag.value[:80]!r}"
            return FrontendError(problem, hint=hint, place=place)
    elif flag.value is None:
        return FrontendError(f"the flag --{flag.name} needs a value", hint=f"--{flag.name}=…", place=place)
    return None


def _flag_hint(keyword: str, name: str) -> str:
    """The nearest flag of this instruction, else the instructions that have such a flag, else all flags there are."""
    known = FLAGS.get(keyword, ())
    near = get_close_matches(name[:40].lower(), known, 1)
    if near:
        return f"did you mean --{near[0]}{_since(keyword, near[0], ' ({keyword} has it since syntax {version})')}?"
    others = [other for other, names in FLAGS.items() if name in names]
    if others:
        told = [f"{other} has --{name}" + _since(other, name, " since syntax {version}") for other in others]
        return " and ".join(told) + f"; {keyword} has {_listed(known)}"
    return f"{keyword} has {_listed(known)}"


def _since(keyword: str, name: str, words: str) -> str:
    version = SINCE.get((keyword, name))
    return words.format(keyword=keyword, version=version) if version else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in names) or "no flags"


# --- pairs -------------------------------------------------------------------------------------------------------


def _pairs(line: Line, escape: str) -> Instruction:
    """ENV, LABEL, ARG: ``name=value`` words, or the old ``name rest of the line``."""
    tokens = _tokens("pairs", line, escape)
    flags = _flags(tokens)
    words = tuple(Word(token.text, token.offset) for token in tokens if token.kind != "FLAG")
    legacy = line.keyword != "ARG" and words[:1] != () and "=" not in words[0].text
    if legacy:
        words, pairs = _legacy(line, escape, words[0])
    else:
        pairs = tuple(_split(word.text) for word in words)
    _check_pairs(line, words, pairs, line.keyword == "ARG")
    return Instruction(line, flags, words, False, pairs, legacy)


def _legacy(line: Line, escape: str, first: Word) -> tuple[tuple[Word, ...], tuple[tuple[str, str | None], ...]]:
    known = plain.tokens("legacy", line.text, escape)
    found = by_grammar("legacy", line.text, escape) if known is None else [Token(*token) for token in known]
    arguments = [] if isinstance(found, int) else [token for token in found if token.kind != "FLAG"]
    if len(arguments) < 2:
        place = line.place(first.offset)
        raise FrontendError(f"{line.keyword} must have two arguments", hint="name=value", place=place)
    name, rest = arguments
    return (Word(f"{name.text}={rest.text}", rest.offset - len(name.text) - 1),), ((name.text, rest.text),)


def _check_pairs(line: Line, words: tuple[Word, ...], pairs: tuple[tuple[str, str | None], ...], bare: bool) -> None:
    problems: list[FrontendError] = []
    for word, (name, value) in zip(words, pairs, strict=True):
        if value is None and not bare:
            hint = "write name=value; quote a value that has blanks"
            problems.append(FrontendError(f"{name!r} has no =", hint=hint, place=line.place(word.offset)))
        elif not name:
            problems.append(FrontendError(f"{line.keyword} names can't be empty", place=line.place(word.offset)))
        if len(problems) == MOST:
            break
    if problems:
        raise joined(problems)


def _split(word: str) -> tuple[str, str | None]:
    name, equals, value = word.partition("=")
    return name, value if equals else None
