"""The ONBUILD instructions of a base, which run first in a stage that is FROM it, and are gone then."""

from __future__ import annotations

from collections.abc import Sequence

from img.errors import FrontendError
from img_frontends.common.problems import joined
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.reader import read
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.syntax import NO_TRIGGERS, problems
from img_frontends.dockerfile.tree import Instruction


def triggers_of(texts: Sequence[str], stage: Stage) -> tuple[Instruction, ...]:
    """The instructions of a base's triggers. Raises `FrontendError` for one that is none, or not allowed."""
    found: list[Instruction] = []
    name = f"ONBUILD of {stage.base}"
    for text in texts:
        instructions = parse(read(text.encode("utf-8", "surrogateescape"), name))
        if len(instructions) != 1:
            hint = f"the base {stage.base} has it in its configuration"
            raise FrontendError("an ONBUILD trigger must be one instruction", hint=hint, place=stage.start.line.whole)
        if instructions[0].keyword in NO_TRIGGERS:
            what = f"{instructions[0].keyword} isn't allowed as an ONBUILD trigger"
            raise FrontendError(what, place=stage.start.line.whole)
        found.extend(instructions)
    if wrong := problems(found):
        raise joined(wrong)
    return tuple(found)
