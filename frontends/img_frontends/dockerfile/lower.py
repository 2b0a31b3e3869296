"""The tree of a Dockerfile to a `Definition`: only the stages that the target needs, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from img.errors import FrontendError, ImgError, Place
from img.files.ignoring import find_ignore
from img.files.patterns import read_ignore
from img.ir.definition import Advice, Definition, Target
from img.ir.nodes import Node, Scratch, Source
from img.ir.values import Notes, Pairs
from img.oci.platform import Platform
from img.ports import FrontendRequest, Resolver
from img_frontends.dockerfile import stages as grouping
from img_frontends.dockerfile.checks.run import obeyed
from img_frontends.dockerfile.checks.subject import Subject
from img_frontends.dockerfile.checks.witness import Witness
from img_frontends.dockerfile.config import METADATA
from img_frontends.dockerfile.files import LAYERS
from img_frontends.dockerfile.parse import joined, parse, parse_line
from img_frontends.dockerfile.reader import Script, read
from img_frontends.dockerfile.scope import Args, platform_args
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.state import PATH, StageState
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words

Json = Any


def lower(request: FrontendRequest, resolver: Resolver) -> Definition:
    """The Definition of a Dockerfile. Raises `FrontendError`, and what the resolver raises."""
    script = read(request.text, request.file)
    instructions = parse(script)
    before, stages = grouping.split(instructions)
    goal = grouping.target(stages, request.target)
    resolver = witness = Witness(resolver)
    args = Args(request.args)
    platforms = request.platforms or (request.build_platform,)
    targets = [
        _Lowering(request, resolver, script, before, stages, args, str(Platform.parse(platform))).target(goal)
        for platform in platforms
    ]
    unused = args.unused()
    warnings = (Advice(f"one or more build-args [{' '.join(unused)}] were not consumed"),) if unused else ()
    return Definition(tuple(targets), (*warnings, *obeyed(Subject(request, script, before, stages, goal, witness))))


def try_out(
    request: FrontendRequest,
    resolver: Resolver,
    script: Script,
    before: tuple[Instruction, ...],
    stages: tuple[Stage, ...],
    goals: Sequence[Stage],
) -> None:
    """Lower `goals` for the first platform, for the errors and for what it asks the resolver. Raises as `lower` does."""
    platform = str(Platform.parse((request.platforms or (request.build_platform,))[0]))
    lowering = _Lowering(request, resolver, script, before, stages, Args(request.args), platform)
    for goal in goals:
        lowering.target(goal)


class _Lowering:
    """One platform's way through the file."""

    def __init__(
        self,
        request: FrontendRequest,
        resolver: Resolver,
        script: Script,
        before: tuple[Instruction, ...],
        stages: tuple[Stage, ...],
        args: Args,
        platform: str,
    ) -> None:
        self._request = request
        self._resolver = resolver
        self._script = script
        self._stages = stages
        self._args = args
        self._platform = platform
        self._done: dict[int, StageState] = {}
        self._making: list[int] = []
        self._context: Source | None = None
        self._current = stages[0]
        self._step = 0
        self._steps = 0
        last = stages[-1].name or "default"
        self._globals = platform_args(request, platform, request.target or last)
        self._declare(before)

    def target(self, goal: Stage) -> Target:
        """The image of stage `goal`."""
        state = self._stage(goal)
        labels = dict(self._request.labels)
        if labels:
            state.config["Labels"] = {**(state.config.get("Labels") or {}), **labels}
        image = {key: value for key, value in state.image.items() if key not in ("rootfs", "created")}
        return Target(state.node, image, self._platform, tuple(state.layers), state.base_layers)

    # --- arguments before the first FROM -------------------------------------------------------------------------

    def _declare(self, before: tuple[Instruction, ...]) -> None:
        for name in tuple(self._globals):
            given = self._args.given(name)
            if given is not None:
                self._globals[name] = given
        for i in before:
            words = Words(i, self._globals, self._script.escape)
            for (name, default), word in zip(i.pairs, i.words, strict=True):
                value = self._args.given(name)
                if value is None and default is not None:
                    value = words.one(default, word.offset + len(name) + 1)
                if value is not None:
                    self._globals[name] = value

    # --- stages --------------------------------------------------------------------------------------------------

    def _stage(self, stage: Stage) -> StageState:
        """The finished state of a stage; made once."""
        if stage.index in self._done:
            return self._done[stage.index]
        if stage.index in self._making:
            raise FrontendError(f"stage {stage.label} depends on itself", place=stage.start.line.whole)
        self._making.append(stage.index)
        outer = (self._current, self._step, self._steps)
        state = self._base(stage)
        state.globals = self._globals
        triggers = self._triggers(state, stage)
        self._current, self._step = stage, 1
        self._steps = 1 + sum(1 for i in (*triggers, *stage.body) if i.keyword in LAYERS)
        problems: list[FrontendError] = []
        for i in (*triggers, *stage.body):
            self._instruction(state, i, problems)
        if problems:
            raise joined(problems)
        self._current, self._step, self._steps = outer
        self._making.pop()
        self._done[stage.index] = state
        return state

    def _instruction(self, state: StageState, i: Instruction, problems: list[FrontendError]) -> None:
        words = Words(i, state.variables, self._script.escape)
        try:
            if i.keyword in METADATA:
                METADATA[i.keyword](state, i, words)
            else:
                self._step += 1
                LAYERS[i.keyword](state, i, words, self)
        except FrontendError as error:
            problems.append(error)

    def _base(self, stage: Stage) -> StageState:
        """What a stage starts from: nothing, an earlier stage, or an image."""
        start = stage.start
        words = Words(start, self._globals, self._script.escape)
        name = words.one(stage.base, start.words[0].offset)
        place = start.line.place(start.words[0].offset)
        if not name:
            hint = "give the ARG it is made of a default before the first FROM"
            raise FrontendError(f"base name ({stage.base}) should not be blank", hint=hint, place=place)
        platform = words.flag("platform") or self._platform
        if name.lower() == "scratch":
            return StageState(Scratch(), _empty(platform), platform, 0, self._args)
        earlier = grouping.find(self._stages, name, stage.index)
        if earlier is not None:
            return self._stage(earlier).child(self._args)
        try:
            found = self._resolver.image(name, str(Platform.parse(platform)))
        except ImgError as error:
            error.place = error.place or place
            later = grouping.find(self._stages, name)
            if later is not None:
                error.hint = f"stage {name} comes later in the file: move it up"
            raise
        notes = Notes(f"[{stage.label} 1/{self._count(stage)}] FROM {name}", place)
        node = Source(found.source.scheme, found.source.ref, found.source.attrs, notes=notes)
        return StageState(node, found.config, platform, found.layers, self._args)

    def _count(self, stage: Stage) -> int:
        return 1 + sum(1 for i in stage.body if i.keyword in LAYERS)

    def _triggers(self, state: StageState, stage: Stage) -> tuple[Instruction, ...]:
        """The ONBUILD instructions of the base, which run first and are gone then."""
        texts = state.config.pop("OnBuild", None) or []
        found: list[Instruction] = []
        for text in texts:
            script = read(text.encode("utf-8", "surrogateescape"), f"ONBUILD of {stage.base}")
            found.extend(parse_line(line, script.escape) for line in script.lines)
        return tuple(found)

    # --- what instructions ask (files.Scope) -----------------------------------------------------------------------

    def context(self) -> Node:
        """The main context, with its ignore file."""
        if self._context is None:
            self._context = Source("local", "context", self._ignore())
        return self._context

    def _ignore(self) -> Pairs:
        found = find_ignore(self._request.options, self._resolver.context_file)
        if found is None:
            return ()
        patterns = read_ignore(found[1], found[0])
        return (("ignore", "\n".join(patterns)),) if patterns else ()

    def files_of(self, name: str, place: Place) -> Node:
        """A stage by name or number, else an image."""
        index = self._current.index
        if name.isdigit():
            if int(name) >= index:
                hint = f"stages before this one: 0 to {index - 1}" if index else "there is no stage before this one"
                raise FrontendError(f"there is no stage {name}", hint=hint, place=place)
            return self._stage(self._stages[int(name)]).node
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
            return self._resolver.image(name, self._platform).source
        except ImgError as error:
            names = [stage.name for stage in self._stages[:index] if stage.name]
            import difflib

            near = difflib.get_close_matches(name, names, 1)
            error.place = error.place or place
            if near:
                error.hint = f"no stage has that name; did you mean {near[0]}?"
            raise

    def notes(self, instruction: Instruction) -> Notes:
        """Numbered within the stage, as BuildKit does."""
        text = " ".join(instruction.line.text.split())
        shown = text if len(text) <= 300 else text[:297] + "..."
        title = f"[{self._current.label} {self._step}/{self._steps}] {instruction.keyword} {shown}"
        return Notes(title, instruction.line.whole)

    @property
    def proxies(self) -> Pairs:
        return self._args.proxies()

    @property
    def hostname(self) -> str:
        return self._request.args.get("BUILDKIT_SANDBOX_HOSTNAME") or "buildkitsandbox"


def _empty(platform: str) -> Mapping[str, Json]:
    """The configuration of ``FROM scratch``."""
    found = Platform.parse(platform)
    image: dict[str, Json] = {"architecture": found.architecture, "os": found.os}
    if found.variant:
        image["variant"] = found.variant
    image["config"] = {"Env": [f"PATH={PATH}"], "WorkingDir": "/"}
    image["history"] = []
    return image
