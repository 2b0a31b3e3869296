"""The tree of a Dockerfile to a `Definition`: only the stages that the target needs, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from img.errors import FrontendError, ImgError, Place, UsageError
from img.ir.definition import Advice, Definition, Target
from img.ir.nodes import Copy, Node, Scratch, Source
from img.ir.values import Confinement, Notes, Pairs
from img.oci.platform import Platform
from img.ports import BaseImage, FrontendRequest, Resolver
from img_frontends.common.problems import in_order, joined
from img_frontends.dockerfile import stages as grouping
from img_frontends.dockerfile.checks.run import obeyed
from img_frontends.dockerfile.checks.subject import Subject
from img_frontends.dockerfile.checks.witness import Witness
from img_frontends.dockerfile.config import METADATA
from img_frontends.dockerfile.epoch import resolve_epoch
from img_frontends.dockerfile.files import LAYERS, Act
from img_frontends.dockerfile.origins import Contexts
from img_frontends.dockerfile.parse import parse_all
from img_frontends.dockerfile.reader import Script, read
from img_frontends.dockerfile.scope import EPOCH, Args, platform_args
from img_frontends.dockerfile.stages import Stage, ahead
from img_frontends.dockerfile.state import PATH, StageState, readable
from img_frontends.dockerfile.syntax import grouped
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.triggers import triggers_of
from img_frontends.dockerfile.words import Words

Json = Any


class File(NamedTuple):
    """A build file that was read, and what the build gives it."""

    request: FrontendRequest
    resolver: Resolver
    script: Script
    before: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    args: Args
    contexts: Contexts
    acts: Mapping[str, Act] = LAYERS
    """What makes layers, by keyword."""


def lower(request: FrontendRequest, resolver: Resolver) -> Definition:
    """The Definition of a Dockerfile. Raises `FrontendError`, and what the resolver raises."""
    script = read(request.text, request.file)
    before, stages = grouped(*parse_all(script))
    goal = grouping.target(stages, request.target)
    resolver = witness = Witness(resolver)
    args = Args(request.args)
    file = File(request, resolver, script, before, stages, args, Contexts(request, resolver))
    platforms = [str(Platform.parse(text)) for text in request.platforms or (request.build_platform,)]
    targets = tuple(_Lowering(file, platform, len(platforms) > 1).target(goal) for platform in platforms)
    unused = args.unused()
    obeying = obeyed(Subject(request, script, before, stages, goal, witness))
    told = (Advice(f"one or more build-args [{' '.join(unused)}] were not consumed"),) if unused else ()
    return Definition(targets, (*told, *obeying))


def try_out(
    request: FrontendRequest,
    resolver: Resolver,
    script: Script,
    before: tuple[Instruction, ...],
    stages: tuple[Stage, ...],
    goals: Sequence[Stage],
) -> None:
    """Lower `goals` for the first platform, for the errors and for what it asks the resolver. Raises as `lower` does."""
    grouped((*before, *(i for stage in stages for i in (stage.start, *stage.body))))
    file = File(request, resolver, script, before, stages, Args(request.args), Contexts(request, resolver))
    platform = str(Platform.parse((request.platforms or (request.build_platform,))[0]))
    lowering = _Lowering(file, platform, False)
    for goal in goals:
        lowering.target(goal)


def made_target(file: File, platform: str, several: bool, goal: Stage) -> Target:
    """The image of one stage for one platform, of `several`. Raises as `lower` does."""
    return _Lowering(file, platform, several).target(goal)


class _Lowering:
    """One platform's way through the file. Problems of instructions that do not need each other are collected."""

    def __init__(self, file: File, platform: str, several: bool) -> None:
        self._file = file
        self._request = file.request
        self._stages = file.stages
        self._platform = platform
        self._several = several
        self._done: dict[int, StageState] = {}
        self._making: list[int] = []
        self._problems: list[FrontendError] = []
        self._current = file.stages[0]
        self._shown = platform
        self._step = self._steps = self._triggered = 0
        last = file.stages[-1].name or "default"
        self._globals = platform_args(file.request, platform, file.request.target or last)
        self._places: dict[str, Place] = {}
        self._declare(file.before)
        self._epoch = self._find_epoch()

    def target(self, goal: Stage) -> Target:
        """The image of stage `goal`. Raises `FrontendError` with every problem that was found on the way."""
        try:
            for stage in ahead(goal, self._below):
                self._stage(stage)
            state = self._stage(goal)
        except ImgError as error:
            if not isinstance(error, FrontendError) and not self._problems:
                raise
            last = error if isinstance(error, FrontendError) else _as_problem(error)
            raise joined(in_order([*self._problems, last])) from error
        if self._problems:
            raise joined(in_order(self._problems))
        labels = dict(self._request.labels)
        if labels:
            state.config["Labels"] = {**(state.config.get("Labels") or {}), **labels}
        image = {key: value for key, value in state.image.items() if key not in ("rootfs", "created")}
        if self._request.platforms:
            image = _for(image, self._platform)
        return Target(state.node, image, self._platform, tuple(state.layers), state.base_layers, self._epoch)

    # --- arguments before the first FROM -------------------------------------------------------------------------

    def _declare(self, before: tuple[Instruction, ...]) -> None:
        for name in tuple(self._globals):
            given = self._file.args.given(name)
            if given is not None:
                self._globals[name] = given
        for i in before:
            words = Words(i, self._globals, self._file.script.escape)
            for (name, default), word in zip(i.pairs, i.words, strict=True):
                value = self._file.args.given(name)
                if value is None and default is not None:
                    value = words.one(default, word.offset + len(name) + 1)
                    self._places[name] = i.line.place(word.offset)
                if value is not None:
                    self._globals[name] = value

    def _find_epoch(self) -> int | None:
        """What SOURCE_DATE_EPOCH stands for. The arguments of the name become that time, or go."""
        file = self._file
        given = file.args.given(EPOCH)
        value = given if given is not None else self._globals.get(EPOCH, "")
        sources = (file.args, file.contexts, file.resolver, self._platform, file.script.escape)
        place = None if given is not None else self._places.get(EPOCH)
        found = resolve_epoch(value, place, self._stages, self._globals, sources)
        text = None if found is None else str(found)
        file.args.settle(EPOCH, text)
        if EPOCH in self._globals:
            self._globals.pop(EPOCH)
            if text is not None:
                self._globals[EPOCH] = text
        return found

    # --- stages --------------------------------------------------------------------------------------------------

    def _stage(self, stage: Stage) -> StageState:
        """The finished state of a stage; made once."""
        if stage.index in self._done:
            return self._done[stage.index]
        if stage.index in self._making:
            raise FrontendError(f"stage {stage.label} depends on itself", place=stage.start.line.whole)
        self._making.append(stage.index)
        outer = (self._current, self._step, self._steps, self._triggered, self._shown)
        try:
            self._done[stage.index] = self._made(stage)
        finally:
            self._current, self._step, self._steps, self._triggered, self._shown = outer
            self._making.pop()
        return self._done[stage.index]

    def _below(self, stage: Stage) -> list[Stage]:
        """The stages that a stage stands on or copies from, as far as can be seen without making it."""
        if stage.name and self._file.contexts.named(stage.name, self._platform) is not None:
            return []
        with suppress(FrontendError):
            base = Words(stage.start, self._globals, self._file.script.escape).one(stage.base)
            names = [base, *(flag.value or "" for i in stage.body if i.keyword == "COPY" for flag in i.all("from"))]
            return [below for name in names if (below := grouping.find(self._stages, name, stage.index)) is not None]
        return []

    def _made(self, stage: Stage) -> StageState:
        if stage.name:
            context = self._file.contexts.named(stage.name, self._platform)
            if context is not None:
                return self._of_context(context, stage.name, stage, self._platform)
        state = self._base(stage)
        state.globals, state.epoch = self._globals, self._epoch
        triggers = triggers_of(state.config.pop("OnBuild", None) or [], stage)
        self._current, self._shown = stage, state.platform
        self._step = 1 if isinstance(state.node, Source) else 0
        self._steps = self._step + sum(1 for i in (*triggers, *stage.body) if i.keyword in self._file.acts)
        for number, i in enumerate((*triggers, *stage.body)):
            self._triggered = number < len(triggers)
            self._instruction(state, i)
        return state

    def _instruction(self, state: StageState, i: Instruction) -> None:
        words = Words(i, state.scope, self._file.script.escape)
        try:
            if i.keyword in METADATA:
                METADATA[i.keyword](state, i, words)
            else:
                self._step += 1
                self._file.acts[i.keyword](state, i, words, self)
        except FrontendError as error:
            self._problems.append(error)

    def _base(self, stage: Stage) -> StageState:
        """What a stage starts from: nothing, an earlier stage, a named context, or an image."""
        start = stage.start
        words = Words(start, self._globals, self._file.script.escape)
        name = words.one(stage.base, start.words[0].offset)
        place = start.line.place(start.words[0].offset)
        if not name:
            hint = "give the ARG it is made of a default before the first FROM"
            raise FrontendError(f"base name ({stage.base}) should not be blank", hint=hint, place=place)
        platform = self._platform_of(stage, words)
        earlier = grouping.find(self._stages, name, stage.index)
        if earlier is not None:
            return self._stage(earlier).child(self._file.args)
        if name.lower() == "scratch":
            return StageState(Scratch(), _empty(platform), platform, 0, self._file.args)
        try:
            context = self._file.contexts.named(name, platform)
            found = self._file.resolver.image(name, platform) if context is None else context
        except ImgError as error:
            error.place = error.place or place
            if grouping.find(self._stages, name) is not None:
                error.hint = f"stage {name} comes later in the file: move it up"
            raise _of_file(error) from None
        return self._of_context(found, name, stage, platform)

    def _platform_of(self, stage: Stage, words: Words) -> str:
        """The platform of a stage's base."""
        flag = next((flag for flag in stage.start.flags if flag.name == "platform"), None)
        if flag is None:
            return self._platform
        text = words.flag("platform")
        place = stage.start.line.place(flag.offset)
        if not text:
            hint = f"arguments here: {', '.join(sorted(self._globals))}"
            raise FrontendError(f"empty platform value from {flag.value}", hint=hint, place=place)
        try:
            return str(Platform.parse(text))
        except UsageError as error:
            raise FrontendError(error.message, hint=error.hint, place=place) from None

    def _of_context(self, found: BaseImage | Source, name: str, stage: Stage, platform: str) -> StageState:
        """A stage that starts with an image, or with files that are no image."""
        place = stage.start.line.place(stage.start.words[0].offset)
        image = found if isinstance(found, BaseImage) else None
        onbuild = len(image.config.get("config", {}).get("OnBuild") or ()) if image else 0
        steps = 1 + onbuild + sum(1 for i in stage.body if i.keyword in self._file.acts)
        prefix = self._prefix(stage, platform)
        notes = Notes(f"[{prefix}{stage.label} 1/{steps}] FROM {name}", place, _group(stage))
        if image is not None:
            source = image.source
            node = Source(source.scheme, source.ref, source.attrs, notes=notes)
            return StageState(node, image.config, platform, image.layers, self._file.args)
        state = StageState(Scratch(), _empty(platform), platform, 0, self._file.args)
        assert isinstance(found, Source)
        state.note(f"FROM {name}", Copy(Scratch(), found, ("",), "/", literal=True, notes=notes))
        return state

    # --- what instructions ask (origins.Scope) ----------------------------------------------------------------------

    def context(self) -> Node:
        """See `Scope`."""
        return self._file.contexts.main()

    def files_of(self, name: str, place: Place, *, numbers: bool = True) -> Node:
        """See `Scope`. Raises `FrontendError`, and what the resolver raises."""
        index = self._current.index
        if name.isascii() and name.isdigit():
            return self._numbered(int(name), place, numbers)
        found = grouping.find(self._stages, name, index)
        if found is not None:
            return self._stage(found).node
        if name.lower() == "scratch":
            return Scratch()
        later = grouping.find(self._stages, name)
        if later is not None:
            hint = "move it up: a stage can only use those before it"
            raise FrontendError(f"stage {name} comes later in the file", hint=hint, place=place)
        try:
            context = self._file.contexts.named(name, self._platform)
            found_image = self._file.resolver.image(name, self._platform) if context is None else context
        except ImgError as error:
            error.place = error.place or place
            error.hint = self._near(name) or error.hint
            raise _of_file(error) from None
        return found_image.source if isinstance(found_image, BaseImage) else found_image

    def _numbered(self, number: int, place: Place, allowed: bool) -> Node:
        index = self._current.index
        if not allowed:
            hint = "give the stage a name with AS"
            raise FrontendError(f"a mount can't be from={number}: stages go by name here", hint=hint, place=place)
        if number >= index:
            hint = f"stages before this one: 0 to {index - 1}" if index else "there is no stage before this one"
            raise FrontendError(f"there is no stage {number}", hint=hint, place=place)
        return self._stage(self._stages[number]).node

    def _near(self, name: str) -> str:
        """A hint that names a stage which may have been meant."""
        import difflib

        names = [stage.name for stage in self._stages[: self._current.index] if stage.name]
        near = difflib.get_close_matches(name, names, 1)
        return f"no stage has that name; did you mean {near[0]}?" if near else ""

    def notes(self, instruction: Instruction) -> Notes:
        """Numbered within the stage, as BuildKit does."""
        text = readable(" ".join(instruction.line.text.split()))
        shown = text if len(text) <= 300 else text[:297] + "..."
        stage = self._current
        trigger = "ONBUILD " if self._triggered else ""
        prefix = self._prefix(stage, self._shown)
        title = f"[{prefix}{stage.label} {self._step}/{self._steps}] {trigger}{instruction.keyword} {shown}"
        return Notes(title, instruction.line.whole, _group(stage), instruction.fresh)

    def _prefix(self, stage: Stage, platform: str) -> str:
        """What a title says of platforms if several are built: the stage's, and what it makes files for."""
        if not self._several:
            return ""
        target = self._platform.partition("/")[2]
        return f"{platform} " if platform == self._platform else f"{platform}->{target} "

    def builder_arg(self, name: str) -> str:
        """See `Scope`."""
        return self._request.args.get(name, "")

    @property
    def proxies(self) -> Pairs:
        return self._file.args.proxies()

    @property
    def confinement(self) -> Confinement:
        return self._request.confinement

    @property
    def allow(self) -> Collection[str]:
        return self._request.allow


def _group(stage: Stage) -> str:
    return stage.name or str(stage.index)


def _of_file(error: ImgError) -> ImgError:
    """The error itself; of a name that is not well formed, the file's: the command line is not wrong."""
    return _as_problem(error) if isinstance(error, UsageError) else error


def _as_problem(error: ImgError) -> FrontendError:
    return FrontendError(error.message, hint=error.hint, place=error.place)


def _empty(platform: str) -> Mapping[str, Json]:
    """The configuration of ``FROM scratch``."""
    config = {"Env": [f"PATH={PATH}"], "WorkingDir": "/"}
    return _for({"architecture": "", "os": "", "config": config, "history": []}, platform)


def _for(image: Mapping[str, Json], platform: str) -> dict[str, Json]:
    """A configuration that says it is for `platform`."""
    found = Platform.parse(platform)
    same = (image.get("os"), image.get("architecture")) == (found.os, found.architecture)
    made = {**image, "architecture": found.architecture, "os": found.os}
    if found.variant:
        made["variant"] = found.variant
    elif not same:
        made.pop("variant", None)
    if not same:
        made.pop("os.version", None)
    return made
