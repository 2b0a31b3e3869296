"""What rules look at: a parsed file, which stages the target needs, and what is known of a stage at each instruction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from img.errors import Place, UsageError
from img.oci.platform import Platform
from img.ports import FrontendRequest
from img_frontends.dockerfile import stages as grouping
from img_frontends.dockerfile.checks.witness import Witness
from img_frontends.dockerfile.expand import ExpandError, expand
from img_frontends.dockerfile.reader import Line, Script
from img_frontends.dockerfile.scope import platform_args
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.state import PATH
from img_frontends.dockerfile.tree import Instruction

_FROM_OPTION = re.compile(r"(?:^|,)\s*from=([^,]*)", re.I)


class Finding(NamedTuple):
    """One violation: the instruction it belongs to, where it stands, and the words of the message."""

    line: Line
    place: Place
    words: Mapping[str, str] = {}


class Scene:
    """What is known of a stage where one of its instructions stands. It moves on with the walk: look, don't keep."""

    def __init__(self, variables: Mapping[str, str], *, complete: bool = True, shell: bool = False) -> None:
        self.variables = dict(variables)
        """What words are expanded with: ENV, and ARG that has a value; the later of the two counts."""
        self.declared: set[str] = set()
        """Every ARG, with a value or without."""
        self.complete = complete
        """False: there may be more variables, since the base image was not asked for or brings ONBUILD."""
        self.shell = shell
        """Whether a SHELL was chosen. True if nobody knows: then nothing can be said against the shell form."""
        self.workdir = False
        """Whether this file has set a working directory."""

    def child(self, triggers: bool) -> Scene:
        """The beginning of a stage that is made from this one."""
        scene = Scene(self.variables, complete=self.complete and not triggers, shell=self.shell)
        scene.declared |= self.declared
        scene.workdir = self.workdir
        return scene


@dataclass(frozen=True)
class Subject:
    """A file under the eyes of the rules. `goal` is the stage to build, None for all of them."""

    request: FrontendRequest
    script: Script
    before: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    goal: Stage | None
    witness: Witness
    lowered: bool = True
    """Whether lowering was there first, so that `witness` knows all that may be known."""

    # --- the text ----------------------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The file's lines."""
        return rows_of(self.request.text)

    @property
    def instructions(self) -> Iterator[Instruction]:
        """Every instruction in order."""
        yield from self.before
        for stage in self.stages:
            yield stage.start
            yield from stage.body

    # --- arguments before the first FROM ---------------------------------------------------------------------------

    @property
    def platform(self) -> str:
        """The first target platform."""
        return str(Platform.parse((self.request.platforms or (self.request.build_platform,))[0]))

    @cached_property
    def automatic(self) -> dict[str, str]:
        """The arguments that are there by themselves."""
        return platform_args(self.request, self.platform, self.request.target or self.stages[-1].name or "default")

    def values_with(self, given: Mapping[str, str]) -> dict[str, str]:
        """The arguments of the global scope that have a value, if the build is given `given`."""
        known = {name: given.get(name, value) for name, value in self.automatic.items()}
        for i in self.before:
            for name, default in i.pairs:
                value = given.get(name)
                if value is None and default is not None:
                    value = self.expanded(default, known)
                if value is not None:
                    known[name] = value
        return known

    @cached_property
    def global_values(self) -> dict[str, str]:
        """`values_with` what this build is given."""
        return self.values_with(self.request.args)

    @cached_property
    def global_names(self) -> frozenset[str]:
        """The arguments of the global scope, with a value or without."""
        return frozenset(self.automatic) | {name for i in self.before for name, _ in i.pairs}

    def expanded(self, word: str, variables: Mapping[str, str]) -> str:
        """The word with its variables replaced; as it stands if that can't be done (lowering says so)."""
        if not any(character in word for character in ("$", '"', "'", self.script.escape)):
            return word
        try:
            return expand(word, variables, self.script.escape)
        except ExpandError:
            return word

    # --- stages ------------------------------------------------------------------------------------------------

    def base_of(self, stage: Stage) -> Stage | None:
        """The stage of this file that a stage is made from."""
        return grouping.find(self.stages, self.base_name(stage), stage.index)

    def base_name(self, stage: Stage) -> str:
        """What a stage is FROM."""
        return self.expanded(stage.base, self.global_values)

    def platform_of(self, stage: Stage) -> str:
        """The platform that a stage's base is wanted for; empty if the flag does not hold one."""
        text = self.expanded(stage.start.flag("platform") or "", self.global_values)
        try:
            return str(Platform.parse(text)) if text else self.platform
        except UsageError:  # lowering says it, with its place
            return ""

    @cached_property
    def reached(self) -> tuple[Stage, ...]:
        """The stages that `goal` needs, in the order of the file."""
        if self.goal is None:
            return self.stages
        waiting, seen = [self.goal], set[int]()
        while waiting:
            stage = waiting.pop()
            if stage.index not in seen:
                seen.add(stage.index)
                waiting.extend(self._needs(stage))
        return tuple(stage for stage in self.stages if stage.index in seen)

    def _needs(self, stage: Stage) -> Iterator[Stage]:
        names = [name for i in stage.body for name in _origins(i)]
        base = self.base_of(stage)
        if base is not None:
            yield base
        for name in names:
            if name.isdigit() and int(name) < stage.index:
                yield self.stages[int(name)]
            elif found := grouping.find(self.stages, name, stage.index):
                yield found

    # --- what is known at each instruction -------------------------------------------------------------------------

    def walk(self) -> Iterator[tuple[Instruction, Scene]]:
        """The instructions of the stages that are needed, each with what is known where it stands."""
        ends: dict[int, Scene] = {}
        for stage in self.reached:
            scene = self._first(stage, ends)
            for i in stage.body:
                yield i, scene
                self._step(i, scene)
            ends[stage.index] = scene

    def _first(self, stage: Stage, ends: Mapping[int, Scene]) -> Scene:
        base = self.base_of(stage)
        if base is not None:
            return ends[base.index].child(any(i.keyword == "ONBUILD" for i in base.body))
        name = self.base_name(stage)
        if name.lower() == "scratch":
            return Scene({"PATH": PATH})
        image = self.witness.images.get((name, self.platform_of(stage)))
        if image is None:
            return Scene({"PATH": PATH}, complete=False, shell=True)
        config = image.config.get("config") or {}
        env = {key: value for key, _, value in (text.partition("=") for text in config.get("Env") or ())}
        return Scene({"PATH": PATH, **env}, complete=not config.get("OnBuild"), shell=bool(config.get("Shell")))

    def _step(self, i: Instruction, scene: Scene) -> None:
        if i.keyword == "ENV":
            known = scene.variables
            new = {self.expanded(name, known): self.expanded(value or "", known) for name, value in i.pairs}
            scene.variables.update(new)
        elif i.keyword == "ARG":
            self._declare(i, scene)
        elif i.keyword == "SHELL":
            scene.shell = True
        elif i.keyword == "WORKDIR":
            scene.workdir = True

    def _declare(self, i: Instruction, scene: Scene) -> None:
        for name, default in i.pairs:
            value = self.request.args.get(name)
            if value is None:
                value = self.global_values.get(name) if default is None else self.expanded(default, scene.variables)
            scene.declared.add(name)
            if value is not None:
                scene.variables[name] = value


def rows_of(data: bytes) -> tuple[str, ...]:
    """The lines of a file, without line ends."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return tuple(row.removesuffix("\r") for row in text.split("\n"))


def _origins(i: Instruction) -> Iterator[str]:
    """The names of the stages or images whose files an instruction uses."""
    if i.keyword in ("COPY", "ADD") and (name := i.flag("from")):
        yield name
    for mount in i.all("mount"):
        for match in _FROM_OPTION.finditer(mount.value or ""):
            yield match[1].strip().strip('"')


def written_keyword(line: Line) -> tuple[str, Place]:
    """The keyword as it stands in the file, and its place."""
    row = line.source.partition("\n")[0]
    return line.word, Place(line.file, line.first, max(row.find(line.word), 0) + 1, line.first, row)
