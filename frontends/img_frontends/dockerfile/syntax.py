"""What can be wrong with an instruction whatever the variables are: looked for in every stage, needed or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from img.errors import FrontendError
from img_frontends.common.problems import in_order, joined
from img_frontends.dockerfile.copies import check_copy
from img_frontends.dockerfile.health import read_health
from img_frontends.dockerfile.reader import KEYWORDS
from img_frontends.dockerfile.runs import check_run
from img_frontends.dockerfile.stages import Stage, split
from img_frontends.dockerfile.tree import Instruction

NO_TRIGGERS = ("ONBUILD", "FROM", "MAINTAINER")

BYTES_ALLOWED = ("ADD", "COPY", "RUN")
"""Instructions that may have bytes which are no UTF-8: names of files and arguments of programs are bytes. What stands
in a configuration is text."""
ZERO_ALLOWED = ("LABEL", "MAINTAINER")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def problems(instructions: Iterable[Instruction]) -> list[FrontendError]:
    """The problems of all instructions, in their order."""
    found: list[FrontendError] = []
    for i in instructions:
        try:
            _characters(i)
            if i.keyword in _CHECKS:
                _CHECKS[i.keyword](i)
        except FrontendError as error:
            found.append(error)
    return found


def _characters(i: Instruction) -> None:
    for text in (i.line.text, *(heredoc.body for heredoc in i.heredocs)):
        place = i.line.place if text is i.line.text else lambda offset: i.line.whole
        if i.keyword not in BYTES_ALLOWED and (found := _NOT_UTF8.search(text)):
            message = f"{i.keyword} has a byte that is no UTF-8 (0x{ord(found[0]) & 0xFF:02x})"
            raise FrontendError(message, hint="save the file as UTF-8", place=place(found.start()))
        if i.keyword not in ZERO_ALLOWED and (at := text.find("\0")) >= 0:
            hint = "take it out: no program, file or variable can have one; is this a text file?"
            raise FrontendError(f"{i.keyword} has a NUL byte", hint=hint, place=place(at))


def _shell(i: Instruction) -> None:
    if not i.exec or not i.words:
        raise FrontendError("SHELL takes a JSON array", hint='e.g. SHELL ["/bin/bash", "-c"]', place=i.line.whole)


def _volume(i: Instruction) -> None:
    if not i.words or not all(word.text.strip() for word in i.words):
        raise FrontendError("VOLUME specified can not be an empty string", place=i.line.whole)


def _onbuild(i: Instruction) -> None:
    written = i.text.split(None, 1)[0]
    inner = written.upper()
    if inner == "ONBUILD":
        hint = "write the trigger itself behind one ONBUILD"
        raise FrontendError("ONBUILD can't be chained: ONBUILD ONBUILD isn't allowed", hint=hint, place=i.line.whole)
    if inner in NO_TRIGGERS:
        raise FrontendError(f"{inner} isn't allowed as an ONBUILD trigger", place=i.line.whole)
    if inner not in KEYWORDS:
        from difflib import get_close_matches

        near = get_close_matches(inner, KEYWORDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"instructions are {', '.join(KEYWORDS)}"
        place = i.line.place(i.words[0].offset)
        raise FrontendError(f"unknown instruction: {written}", hint=hint, place=place)


_CHECKS: dict[str, Callable[[Instruction], object]] = {
    "ADD": check_copy,
    "COPY": check_copy,
    "HEALTHCHECK": read_health,
    "ONBUILD": _onbuild,
    "RUN": check_run,
    "SHELL": _shell,
    "VOLUME": _volume,
}


def checked(instructions: Sequence[Instruction]) -> None:
    """Raises `FrontendError` with every mistake that can be seen in the instructions themselves."""
    if found := problems(instructions):
        raise joined(found)


def grouped(
    instructions: tuple[Instruction, ...], unread: Sequence[FrontendError] = ()
) -> tuple[tuple[Instruction, ...], tuple[Stage, ...]]:
    """The global ARGs and the stages of a file without mistakes that can be seen in it. Raises `FrontendError`.

    `unread` says which instructions are missing here: without them there is no telling where stages begin.
    """
    found = problems(instructions)
    if unread:
        raise joined(in_order([*unread, *found]))
    try:
        parts = split(instructions)
    except FrontendError as error:
        others, error.others = error.others, ()
        raise joined(in_order([*found, error, *others])) from None
    if found:
        raise joined(found)
    return parts
