"""``extends``, ``matrix`` and the order of stages: what is left are stages that each stand for themselves."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from img.errors import FrontendError
from img_frontends.document.bind import near
from img_frontends.document.instructions import at
from img_frontends.document.model import BindMount, CacheMount, Copy, Document, Run, Setting, Stage

MOST = 256
"""How many stages a matrix may make."""

_VARIABLE = re.compile(r"\\.|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.S)
_UNFIT = re.compile(r"[^a-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Flat:
    """A stage with nothing left to look up, and the values that its matrix gives it."""

    name: str
    stage: Stage
    values: tuple[tuple[str, str], ...] = ()


def flatten(document: Document) -> tuple[Flat, ...]:
    """Every stage, those that others stand on before them. Raises `FrontendError`."""
    if not document.stages:
        raise FrontendError("there is no stage", hint="say from: IMAGE, or stages:", place=at(document))
    whole = {name: _extended(dict(document.stages), name, ()) for name, _ in document.stages}
    for name, stage in whole.items():
        if not stage.base:
            hint = "say from: IMAGE, from: scratch, or extends: STAGE"
            raise FrontendError(f"stage {name or 'of the document'} starts from nothing", hint=hint, place=at(stage))
    made = [flat for name, stage in whole.items() for flat in _varied(name, stage)]
    names: dict[str, Flat] = {}
    for flat in made:
        if flat.name in names:
            hint = "a matrix makes it, and another stage has it"
            raise FrontendError(f"the stage {flat.name} is there twice", hint=hint, place=at(flat.stage))
        names[flat.name] = flat
    return tuple(_ordered(names))


def _extended(stages: Mapping[str, Stage], name: str, open: tuple[str, ...]) -> Stage:
    stage = stages[name]
    if not stage.extends:
        return stage
    place = at(stage, "extends")
    if stage.extends in (*open, name):
        way = " → ".join([*open, name, stage.extends])
        raise FrontendError(f"stage {name} extends itself: {way}", hint="leave one of them out", place=place)
    if stage.extends not in stages:
        hint = near(stage.extends, tuple(other for other in stages if other), "stages")
        raise FrontendError(f"there is no stage {stage.extends!r} to extend", hint=hint, place=place)
    above = _extended(stages, stage.extends, (*open, name))
    return replace(
        stage,
        base=stage.base or above.base,
        platform=stage.platform or above.platform,
        extends="",
        matrix=stage.matrix or above.matrix,
        before=_over(above.before, stage.before),
        steps=(*above.steps, *stage.steps),
        after=_over(above.after, stage.after),
        at={**above.at, **stage.at},
    )


def _over(below: tuple[Setting, ...], own: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """Settings of both; tables are joined, of anything else the own one counts."""
    from img_frontends.document.model import SETTINGS

    found = {one.name: one for one in below}
    for one in own:
        other = found.get(one.name)
        if other is not None and one.name in ("env", "labels", "arg"):
            value = tuple({**dict(other.value), **dict(one.value)}.items())
            one = replace(one, value=value, at={**other.at, **one.at})
        found[one.name] = one
    return tuple(sorted(found.values(), key=lambda one: SETTINGS.keys.index(one.name)))


# --- matrix ----------------------------------------------------------------------------------------------------------


def _varied(name: str, stage: Stage) -> Iterator[Flat]:
    if not stage.matrix:
        yield Flat(name, stage)
        return
    place = at(stage, "matrix")
    if not name:
        raise FrontendError("a matrix needs a stage with a name", hint="put it below stages:", place=place)
    size = 1
    for variable, values in stage.matrix:
        size *= len(values)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
            raise FrontendError(f"{variable!r} can't be the name of an argument", place=place)
    if size > MOST:
        raise FrontendError(f"the matrix makes {size} stages; {MOST} is the most", place=place)
    for values in itertools.product(*(values for _, values in stage.matrix)):
        chosen = tuple(zip((variable for variable, _ in stage.matrix), values, strict=True))
        ending = "-".join(_UNFIT.sub("-", value.lower()).strip("-") for value in values)
        yield Flat(f"{name}-{ending}", _with(stage, chosen), chosen)


def _with(stage: Stage, chosen: tuple[tuple[str, str], ...]) -> Stage:
    """The stage for one combination: its base with the values put in, and an ``arg`` for what follows."""
    values = dict(chosen)

    def put(text: str) -> str:
        return _VARIABLE.sub(lambda match: values.get(match[1] or match[2] or "", match[0]), text)

    own = Setting("arg", chosen, at={"": at(stage, "matrix")})
    before = _over(tuple(one for one in stage.before if one.name == "arg"), (own,))
    rest = tuple(one for one in stage.before if one.name != "arg")
    from img_frontends.document.model import SETTINGS

    ordered = tuple(sorted((*before, *rest), key=lambda one: SETTINGS.keys.index(one.name)))
    return replace(stage, base=put(stage.base), platform=put(stage.platform), matrix=(), before=ordered)


# --- order -----------------------------------------------------------------------------------------------------------


def needs(stage: Stage) -> Iterator[str]:
    """What a stage names that may be another stage; its own name is an image's, as in ``debian: {from: debian}``."""
    yield stage.base
    for step in stage.steps:
        if isinstance(step.act, Copy) and step.act.origin:
            yield step.act.origin
        if isinstance(step.act, Run):
            for mount in step.act.mounts:
                if isinstance(mount, BindMount | CacheMount) and mount.origin:
                    yield mount.origin


def _ordered(stages: Mapping[str, Flat]) -> list[Flat]:
    """As they stand in the file, but each after those it needs."""
    order: list[Flat] = []
    done: set[str] = set()
    open: dict[str, None] = {}
    for first in stages:
        stack = [(first, needs(stages[first].stage))] if first not in done else []
        open = dict.fromkeys([first] if stack else [])
        while stack:
            name, rest = stack[-1]
            found = next((other for other in rest if other != name and other in stages and other not in done), None)
            if found is None:
                order.append(stages[name])
                done.add(name)
                open.pop(name, None)
                stack.pop()
            elif found in open:
                way = " → ".join([*list(open)[list(open).index(found) :], found])
                hint = "one of them must start from something else"
                raise FrontendError(f"stage {found} depends on itself: {way}", hint=hint, place=at(stages[name].stage))
            else:
                open[found] = None
                stack.append((found, needs(stages[found].stage)))
    return order
