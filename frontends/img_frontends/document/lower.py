"""A document to a `Definition`: its stages as instructions, lowered as those of a Dockerfile are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from img.errors import FrontendError
from img.ir.definition import Advice, Definition
from img.oci.platform import Platform
from img.ports import FrontendRequest, Resolver
from img_frontends.common.problems import joined
from img_frontends.dockerfile.lower import File, made_target
from img_frontends.dockerfile.origins import Contexts
from img_frontends.dockerfile.reader import Script
from img_frontends.dockerfile.scope import Args
from img_frontends.dockerfile.stages import Stage as Stretch
from img_frontends.dockerfile.syntax import checked
from img_frontends.dockerfile.tree import Instruction
from img_frontends.document.acts import ACTS
from img_frontends.document.arguments import check_args, holds, values
from img_frontends.document.bind import near
from img_frontends.document.flat import Flat, flatten
from img_frontends.document.include import Read, load
from img_frontends.document.instructions import at, of_arg, of_from, of_setting, of_step
from img_frontends.document.model import Document, Target
from img_frontends.document.paths import pathed
from img_frontends.document.promises import promises

ESCAPE = "\\"


def lower(request: FrontendRequest, resolver: Resolver, read: Read) -> Definition:
    """Raises `FrontendError`, and what the resolver raises."""
    with pathed(request, resolver, read):
        return lower_document(load(request, resolver, read), request, resolver)


def lower_document(document: Document, request: FrontendRequest, resolver: Resolver) -> Definition:
    """The Definition of a document with nothing left to include. Raises as `lower` does."""
    check_args(document)
    stages = flatten(document)
    check_targets(document, stages)
    goal, target = goal_of(document, stages, request.target)
    if target is not None:
        request = replace(request, args={**_texts(target.args), **request.args})
    request = replace(request, target=goal.name)
    args = Args(request.args)
    contexts = Contexts(request, resolver)
    script = Script({}, ESCAPE, ())
    before = tuple(of_arg(name, arg) for name, arg in document.args)
    platforms = [str(Platform.parse(text)) for text in request.platforms or (request.build_platform,)]
    targets = []
    for platform in platforms:
        given = values(document, request, platform, goal.name or "default")
        made = stretches(stages, given, tuple(name for name, _ in document.args))
        checked((*before, *(i for one in made for i in (one.start, *one.body))))
        file = File(request, resolver, script, before, made, args, contexts, ACTS)
        chosen = next(one for one in made if one.name == goal.name)
        targets.append(made_target(file, platform, len(platforms) > 1, chosen))
    unused = args.unused()
    told = (Advice(f"one or more build-args [{' '.join(unused)}] were not consumed"),) if unused else ()
    return Definition(tuple(targets), told)


def _texts(pairs: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    return {name: value or "" for name, value in pairs}


def check_targets(document: Document, stages: Sequence[Flat]) -> None:
    """Raises `FrontendError` for targets of stages that there are not, also for those that are not asked for."""
    known = tuple(flat.name for flat in stages)
    wrong = [
        FrontendError(f"there is no stage {one.stage!r}", hint=near(one.stage, known, "stages"), place=at(one, "stage"))
        for _, one in document.targets
        if one.stage not in known and one.stage.lower() not in known
    ]
    if wrong:
        raise joined(wrong)


def goal_of(document: Document, stages: Sequence[Flat], name: str) -> tuple[Flat, Target | None]:
    """The stage to build, and the target of that name if it is one. Raises `FrontendError` naming what is near."""
    by_name = {flat.name: flat for flat in stages}
    wanted, place = (name, None) if name else (document.default, at(document, "default"))
    if not wanted:
        last = document.stages[-1][0]
        return next((flat for flat in reversed(stages) if flat.name == last), stages[-1]), None
    target = dict(document.targets).get(wanted)
    if target is not None:
        wanted, place = target.stage, at(target, "stage")
    found = by_name.get(wanted) or by_name.get(wanted.lower())
    if found is None:
        known = (*(name for name, _ in document.targets), *(name for name in by_name if name))
        hint = near(wanted, known, "targets and stages") if known else "the document is one stage without a name"
        raise FrontendError(f"target stage {wanted!r} could not be found", hint=hint, place=place)
    return found, target


def stretches(stages: Sequence[Flat], given: Mapping[str, str], known: tuple[str, ...]) -> tuple[Stretch, ...]:
    """The stages as the lowering of Dockerfiles takes them, without the steps whose ``when`` does not hold."""
    made: list[Stretch] = []
    problems: list[FrontendError] = []
    for index, flat in enumerate(stages):
        start = of_from(flat.name, flat.stage)
        body: list[Instruction] = []
        for setting in flat.stage.before:
            body += of_setting(setting, at(setting))
        for step in flat.stage.steps:
            try:
                if holds(step, {**given, **dict(flat.values)}, known):
                    how = promises(step)
                    body += [replace(one, **how) for one in of_step(step)] if how else of_step(step)
            except FrontendError as error:
                problems.append(error)
        for setting in flat.stage.after:
            body += of_setting(setting, at(setting))
        made.append(Stretch(index, start, start.words[0].text, flat.name, tuple(body)))
    if problems:
        raise joined(problems)
    return tuple(made)
