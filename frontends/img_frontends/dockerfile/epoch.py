"""SOURCE_DATE_EPOCH: when an image says it was made.

Unix time, or the name of what has one: ``context``, a named context, or a stage that is nothing but ``FROM scratch``
and one ADD of something on the network (ARG may help).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from img.errors import FrontendError, Place, UsageError
from img.gitref import parse_git
from img.ports import Resolver
from img_frontends.dockerfile.origins import Contexts
from img_frontends.dockerfile.scope import EPOCH, Args
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words

_NUMBER = re.compile(r"[-+]?[0-9]{1,18}\Z", re.ASCII)


def resolve_epoch(
    value: str,
    place: Place | None,
    stages: Sequence[Stage],
    variables: Mapping[str, str],
    sources: tuple[Args, Contexts, Resolver, str, str],
) -> int | None:
    """The Unix time that `value` stands for; None if what it names has none. `place` is where the value is written, if
    that is in the file. `sources` are the arguments, contexts, resolver, platform and escape character. Raises
    `FrontendError`."""
    args, contexts, resolver, platform, escape = sources
    if not value:
        return None
    if _NUMBER.match(value):
        return int(value)
    if value == "context":
        return resolver.modified("context")
    if contexts.named(value, platform) is not None:
        return resolver.modified(value)
    stage = next((stage for stage in stages if stage.name and stage.name == value.lower()), None)
    if stage is None:
        hint = "a Unix time, context, or the name of a context or of a stage"
        raise FrontendError(f"invalid {EPOCH}: {value}", hint=hint, place=place)
    return resolver.modified(_source(stage, args, {**variables}, escape))


def _source(stage: Stage, args: Args, variables: dict[str, str], escape: str) -> str:
    """The address of the one thing that a stage adds."""
    variables.pop(EPOCH, None)
    start = Words(stage.start, variables, escape)
    if start.one(stage.base, stage.start.words[0].offset) != "scratch":
        raise _unfit(stage, stage.start, "it must be FROM scratch")
    found = ""
    for i in stage.body:
        words = Words(i, variables, escape)
        if i.keyword == "ARG":
            _declare(i, words, args, variables)
        elif i.keyword != "ADD":
            raise _unfit(stage, i, f"it can't have {i.keyword}")
        elif found or len(i.words) != 2 or i.heredocs:
            raise _unfit(stage, i, "it must add exactly one thing")
        else:
            found = words.one(i.words[0].text, i.words[0].offset)
            _check(stage, i, found)
    if not found:
        raise _unfit(stage, stage.start, "it must add exactly one thing")
    return found


def _declare(i: Instruction, words: Words, args: Args, variables: dict[str, str]) -> None:
    for (name, default), word in zip(i.pairs, i.words, strict=True):
        value = args.given(name)
        if value is None and default is not None:
            value = words.one(default, word.offset + len(name) + 1)
        if value is not None:
            variables[name] = value


def _check(stage: Stage, i: Instruction, source: str) -> None:
    try:
        git = parse_git(source)
    except UsageError as error:
        raise FrontendError(error.message, hint=error.hint, place=i.line.whole) from None
    if not source.startswith(("http://", "https://")) and (git is None or git.bare):
        raise _unfit(stage, i, "what it adds must come from http(s) or git")


def _unfit(stage: Stage, i: Instruction, why: str) -> FrontendError:
    return FrontendError(
        f"the stage {stage.label} can't be the {EPOCH}: {why}",
        hint="such a stage is FROM scratch and one ADD of a URL or a git repository",
        place=i.line.whole,
    )
