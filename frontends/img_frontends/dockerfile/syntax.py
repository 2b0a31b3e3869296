"""What can be wrong with an instruction whatever the variables are: looked for in every stage, needed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from img.errors import FrontendError
from img_frontends.dockerfile.copies import check_copy
from img_frontends.dockerfile.health import read_health
from img_frontends.dockerfile.reader import KEYWORDS
from img_frontends.dockerfile.runs import check_run
from img_frontends.dockerfile.tree import Instruction

NO_TRIGGERS = ("ONBUILD", "FROM", "MAINTAINER")


def problems(instructions: Iterable[Instruction]) -> list[FrontendError]:
    """The problems of all instructions, in their order."""
    found: list[FrontendError] = []
    for i in instructions:
        try:
            if i.keyword in _CHECKS:
                _CHECKS[i.keyword](i)
        except FrontendError as error:
            found.append(error)
    return found


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
