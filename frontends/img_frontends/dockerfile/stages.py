"""Instructions grouped into stages, and which of them a target needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from img.errors import FrontendError
from img_frontends.common.problems import joined
from img_frontends.dockerfile.tree import Instruction

_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")


@dataclass(frozen=True, slots=True)
class Stage:
    """FROM with what follows it. `base` is as written; `name` is in lower case, empty if it has none."""

    index: int
    start: Instruction
    base: str
    name: str
    body: tuple[Instruction, ...]

    @property
    def label(self) -> str:
        """How progress names the stage."""
        return self.name or f"stage-{self.index}"


def split(instructions: Sequence[Instruction]) -> tuple[tuple[Instruction, ...], tuple[Stage, ...]]:
    """The global ARGs, and the stages. Raises `FrontendError` for all FROMs that are wrong."""
    heads = [number for number, instruction in enumerate(instructions) if instruction.keyword == "FROM"]
    before = instructions[: heads[0]] if heads else instructions
    for instruction in before:
        if instruction.keyword != "ARG":
            place = instruction.line.whole
            raise FrontendError("no build stage in current context", hint="a Dockerfile begins with FROM", place=place)
    if not heads:
        place = instructions[-1].line.whole
        raise FrontendError("the file has no FROM", hint="a Dockerfile begins with FROM", place=place)
    ends = [*heads[1:], len(instructions)]
    stages: list[Stage] = []
    problems: list[FrontendError] = []
    for index, (head, end) in enumerate(zip(heads, ends, strict=True)):
        try:
            stages.append(_stage(index, instructions[head:end]))
        except FrontendError as error:
            problems.append(error)
    if problems:
        raise joined(problems)
    return tuple(before), tuple(stages)


def _stage(index: int, instructions: Sequence[Instruction]) -> Stage:
    start = instructions[0]
    words = start.values
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise FrontendError("FROM takes an image, or an image AS a name", place=start.line.whole)
    name = words[2].lower() if len(words) == 3 else ""
    if name and not _NAME.match(name):
        place = start.line.place(start.words[2].offset)
        raise FrontendError(f"invalid stage name {words[2]!r}", hint="letters, digits, - _ and .", place=place)
    return Stage(index, start, words[0], name, tuple(instructions[1:]))


def find(stages: Sequence[Stage], name: str, before: int | None = None) -> Stage | None:
    """The last stage of that name, in any case of letters; only those with an index below `before`."""
    for stage in reversed(stages[:before]):
        if stage.name and stage.name == name.lower():
            return stage
    return None


def target(stages: Sequence[Stage], name: str) -> Stage:
    """The stage to build. Raises `FrontendError` naming what is near."""
    if not name:
        return stages[-1]
    found = find(stages, name)
    if found is None:
        names = [stage.name for stage in stages if stage.name]
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"stages: {', '.join(names) or 'none has a name'}"
        raise FrontendError(f"target stage {name!r} could not be found", hint=hint)
    return found


DEEP = 50


def ahead(goal: Stage, below: Callable[[Stage], Sequence[Stage]]) -> list[Stage]:
    """What to make before `goal` so that making it does not nest: for a goal with more than `DEEP` stages before it,
    all that it needs, each after those that `below` says it stands on; else nothing."""
    order: list[Stage] = []
    seen: set[int] = set()
    stack = [(goal, False)] if goal.index > DEEP else []
    while stack:
        stage, entered = stack.pop()
        if entered:
            order.append(stage)
        elif stage.index not in seen:
            seen.add(stage.index)
            stack.append((stage, True))
            stack.extend((lower, False) for lower in below(stage))
    return order
