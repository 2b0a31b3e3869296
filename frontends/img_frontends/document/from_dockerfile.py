"""A Dockerfile as a document that builds the same image. What can't be said is an error with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from img.errors import FrontendError, Place
from img_frontends.common.problems import joined
from img_frontends.dockerfile import stages as grouping
from img_frontends.dockerfile.copies import heredoc_of
from img_frontends.dockerfile.heredocs import opening
from img_frontends.dockerfile.mounts import ALIASES, check_options, read_options
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.reader import Script, read
from img_frontends.dockerfile.runs import devices
from img_frontends.dockerfile.stages import Stage as Stretch
from img_frontends.dockerfile.syntax import problems
from img_frontends.dockerfile.tree import Flag, Instruction
from img_frontends.dockerfile.words import switch
from img_frontends.document import model
from img_frontends.document.instructions import KEYWORDS, delimiter
from img_frontends.document.kinds import keys
from img_frontends.document.words import said

NAMES = {keyword: name for name, keyword in KEYWORDS.items()}
FOLDERS = ("/", "/.", "/..")


def from_dockerfile(text: bytes, file: str) -> model.Document:
    """The document of a Dockerfile. Raises `FrontendError`."""
    script = read(text, file)
    instructions = parse(script)
    if found := problems(instructions):
        raise joined(found)
    before, stages = grouping.split(instructions)
    converter = _Converter(script, stages)
    document = converter.document(before)
    if converter.problems:
        raise joined(converter.problems)
    return document


def comments_of(i: Instruction) -> tuple[str, ...]:
    """The comments above and inside of an instruction, without ``#`` and one blank."""
    rows = [*i.line.above, *(row for _, row in i.line.inner)]
    return tuple(row.strip()[1:].removeprefix(" ") for row in rows if row.strip().startswith("#"))


class _Converter:
    def __init__(self, script: Script, stages: Sequence[Stretch]) -> None:
        self._script = script
        self._stages = stages
        self._names = self._named()
        self.problems: list[FrontendError] = []

    def document(self, before: Sequence[Instruction]) -> model.Document:
        """The whole. Problems are kept."""
        args: dict[str, model.Arg] = {}
        comments: list[str] = []
        for i in before:
            comments += comments_of(i)
            for (name, default), word in zip(i.pairs, i.words, strict=True):
                if name in args:
                    self._keep(self._unsaid(f"a second ARG {name}", i.line.place(word.offset)))
                args[name] = model.Arg(None if default is None else self._text(i, default, word.offset))
        stages = [(self._names[one.index], self._stage(one)) for one in self._stages]
        comments += [row.strip()[1:].removeprefix(" ") for row in self._script.tail if row.strip().startswith("#")]
        if len(stages) == 1 and not stages[0][0]:
            comments += stages[0][1].comments
            stages = [("", replace(stages[0][1], comments=()))]
        return model.Document(args=(*args.items(),), stages=tuple(stages), comments=tuple(comments))

    # --- stages --------------------------------------------------------------------------------------------------

    def _named(self) -> list[str]:
        """The names of the stages: those that have none get one, unless there is only one stage."""
        taken = [stage.name for stage in self._stages]
        if taken == [""]:
            return taken
        for number, stage in enumerate(self._stages):
            last = number + 1 == len(taken) and "default" not in taken
            taken[number] = stage.name or ("default" if last else self._free(f"stage-{number}", taken))
        for stage in self._stages:
            if taken.count(taken[stage.index]) > 1:
                raise self._unsaid(f"a second stage {stage.name}", stage.start.line.whole, "give it another name")
        return taken

    def _free(self, name: str, taken: Sequence[str]) -> str:
        return name if name not in taken else self._free(f"{name}-", taken)

    def _stage(self, stage: Stretch) -> model.Stage:
        start = stage.start
        base = self._text(start, stage.base, start.words[0].offset)
        if "$" not in base and (earlier := grouping.find(self._stages, base, stage.index)):
            base = self._names[earlier.index]
        elif base.lower() in self._names and base.lower() != self._names[stage.index]:
            self._later(base, start.line.place(start.words[0].offset))
        steps = [step for i in stage.body if (step := self._step(stage, i)) is not None]
        front, steps = _lifted(steps, [name for name, _, _ in model.BEFORE])
        back, rest = _lifted(steps[::-1], [name for name, _, _ in model.AFTER][::-1])
        platform = self._flag(start, "platform")
        return model.Stage(
            base,
            platform,
            before=tuple(front),
            steps=tuple(rest[::-1]),
            after=tuple(back[::-1]),
            comments=comments_of(start),
        )

    def _origin(self, stage: Stretch, name: str, place: Place) -> str:
        """What ``from`` names, as a document has it."""
        if name.isascii() and name.isdigit() and int(name) < stage.index:
            return self._names[int(name)]
        found = grouping.find(self._stages, name, stage.index)
        if found is not None:
            return self._names[found.index]
        if name.lower() in self._names:
            self._later(name, place)
        return name

    def _later(self, name: str, place: Place) -> None:
        hint = "here it is an image, but in a document the stage of that name: give the stage another"
        self._keep(self._unsaid(f"{name} before the stage of that name", place, hint))

    # --- steps ---------------------------------------------------------------------------------------------------

    def _step(self, stage: Stretch, i: Instruction) -> model.Step | None:
        try:
            return model.Step(self._act(stage, i), comments=comments_of(i))
        except FrontendError as error:
            self._keep(error)
            return None

    def _act(self, stage: Stretch, i: Instruction) -> model.Act:
        if i.keyword == "RUN":
            return self._run(stage, i)
        if i.keyword in ("COPY", "ADD"):
            return self._copy(stage, i)
        return model.Setting(NAMES[i.keyword], self._setting(i))

    def _setting(self, i: Instruction) -> Any:
        match i.keyword:
            case "WORKDIR" | "USER" | "STOPSIGNAL":
                return self._text(i, i.text, i.words[0].offset)
            case "ENV" | "LABEL" | "ARG":
                return self._pairs(i)
            case "ENTRYPOINT" | "CMD":
                return i.values if i.exec else i.text
            case "HEALTHCHECK":
                return self._health(i)
            case "ONBUILD":
                return (i.text + "".join(f"\n{one.written}{one.name}" for one in i.heredocs),)
            case "MAINTAINER":
                return i.text
            case "SHELL":
                return i.values
            case _:
                return tuple(self._text(i, word.text, word.offset) for word in i.words)

    def _pairs(self, i: Instruction) -> tuple[tuple[str, str | None], ...]:
        found: dict[str, str | None] = {}
        for (name, value), word in zip(i.pairs, i.words, strict=True):
            place = i.line.place(word.offset)
            key = self._text(i, name, word.offset)
            if key in found:
                raise self._unsaid(f"{key} twice in one {i.keyword}", place, "make two instructions of it")
            if any(one.isspace() or one == "=" for one in key):
                raise self._unsaid(f"the name {key!r}", place)
            text = None if value is None else self._text(i, value, word.offset + len(name) + 1)
            found[key] = text if text is not None or i.keyword == "ARG" else ""
        return tuple(found.items())

    def _health(self, i: Instruction) -> model.Health:
        kind = i.text.split(None, 1)[0]
        flags = {flag.name.replace("-", "_"): flag.value or "" for flag in i.flags}
        retries = flags.pop("retries", None)
        given: dict[str, Any] = {**flags, "retries": None if retries is None else int(retries)}
        if kind.upper() == "NONE":
            return model.Health("none", **given)
        import json

        text = i.text[3:].strip()
        if text == "none":
            raise self._unsaid("a check by a command named none", i.line.whole)
        if text.startswith("["):
            try:
                return model.Health(tuple(json.loads(text)), **given)
            except ValueError:
                return model.Health(text, **given)
        return model.Health(text, **given)

    def _run(self, stage: Stretch, i: Instruction) -> model.Run:
        command, name = _command(i)
        return model.Run(
            command,
            tuple(self._mount(stage, i, flag) for flag in i.all("mount")),
            i.flag("network") or "",
            i.flag("security") or "",
            tuple(model.Device(one.name, one.required) for one in devices(i)),
            name,
        )

    def _mount(self, stage: Stretch, i: Instruction, flag: Flag) -> model.Mount:
        place = i.line.place(flag.offset)
        options = read_options(flag.value or "", place)
        if "$" in options.get("type", "") or any("$" in options.get(name, "") for name in ("readonly", "readwrite")):
            raise self._unsaid("a variable in the type of a mount", place)
        kind = options.get("type", "bind").lower()
        if not any("$" in value for value in options.values()):
            check_options(options, place)
        record: Any = model.MOUNTS.kind(kind)
        fields: dict[str, Any] = {}
        for key in keys(record.type):
            if key.name in options:
                given = options[key.name]
                on = given.lower() in ("1", "t", "true")
                fields[key.attribute] = (
                    on if key.name in ("required", "readonly") else self._mounted(stage, key.name, given, place)
                )
        off = options.get("readonly", "").lower() in ("0", "f", "false")
        writes = options.get("readwrite", "").lower()
        if kind == "bind":
            fields["writable"] = off or writes in ("1", "t", "true")
        elif kind == "cache":
            fields["readonly"] = fields.get("readonly", False) or writes in ("0", "f", "false")
            fields["sharing"] = fields.get("sharing", "").lower()
        elif kind == "secret" and "id" not in fields:
            raise self._unsaid("a secret without an id", place, "give it the id that is meant")
        return record.type(**fields)  # type: ignore[no-any-return]

    def _mounted(self, stage: Stretch, name: str, value: str, place: Place) -> str:
        if name == "from":
            return self._origin(stage, value, place)
        found = said(value, self._script.escape)
        if found is None:
            raise self._unsaid(f"{ALIASES.get(name, name)}={value}", place)
        return found

    def _copy(self, stage: Stretch, i: Instruction) -> model.Act:
        words = [word for word in i.words if heredoc_of(i, word) is None]
        inline = tuple(model.Inline(one.name, one.body, one.expand) for one in self._heredocs(i))
        *paths, to = (self._text(i, word.text, word.offset) for word in words)
        owner, mode = self._flag(i, "chown"), self._flag(i, "chmod")
        link, parents = switch(i, "link"), switch(i, "parents")
        exclude = tuple(flag.value or "" for flag in i.all("exclude"))
        if i.keyword == "ADD":
            given = {name: switch(i, name) for name in ("keep-git-dir", "unpack") if i.flag(name) is not None}
            git, unpack = given.get("keep-git-dir"), given.get("unpack")
            checksum = self._flag(i, "checksum")
            return model.Add(
                paths=tuple(paths),
                inline=inline,
                to=to,
                owner=owner,
                mode=mode,
                link=link,
                checksum=checksum,
                keep_git_dir=git,
                unpack=unpack,
                exclude=exclude,
            )
        origin = i.flag("from") or ""
        plain = not (paths or link or parents or exclude or origin) and len(inline) == 1
        if plain and inline[0].name == delimiter(inline[0].text) and not (to in (".", "..") or to.endswith(FOLDERS)):
            return model.Write(to, inline[0].text, owner, mode, inline[0].expand)
        if origin:
            flag = next(flag for flag in i.flags if flag.name == "from")
            origin = self._origin(stage, origin, i.line.place(flag.offset))
        return model.Copy(
            origin=origin,
            paths=tuple(paths),
            inline=inline,
            to=to,
            owner=owner,
            mode=mode,
            link=link,
            parents=parents,
            exclude=exclude,
        )

    def _heredocs(self, i: Instruction) -> list[Any]:
        found = [heredoc_of(i, word) for word in i.words]
        return [one for one in found if one is not None]

    # --- words ---------------------------------------------------------------------------------------------------

    def _text(self, i: Instruction, written: str, offset: int) -> str:
        found = said(written, self._script.escape)
        if found is None:
            hint = "quotes and escapes inside of ${…} have no form in a document: give an ARG that value"
            raise self._unsaid(f"{written[:80]} of {i.keyword}", i.line.place(offset), hint)
        return found

    def _flag(self, i: Instruction, name: str) -> str:
        flag = next((flag for flag in i.flags if flag.name == name), None)
        return self._text(i, flag.value or "", flag.offset) if flag else ""

    def _keep(self, error: FrontendError) -> None:
        self.problems.append(error)

    def _unsaid(self, what: str, place: Place, hint: str = "") -> FrontendError:
        return FrontendError(f"a document can't say {what}", hint=hint, place=place)


def _command(i: Instruction) -> tuple[str | tuple[str, ...], str]:
    """The command of a RUN as a document has it, and the name of a script of its own."""
    if i.exec:
        return i.values, ""
    if not i.heredocs:
        return i.text, ""
    first = i.heredocs[0]
    if opening(i.text) is None:
        return i.text + "".join(f"\n{one.written}{one.name}" for one in i.heredocs), ""
    name = first.name if first.body.startswith("#!") and first.name != delimiter(first.body) else ""
    return first.body, name


def _lifted(steps: Sequence[model.Step], order: Sequence[str]) -> tuple[list[model.Setting], list[model.Step]]:
    """The first steps as settings of the stage, as long as they stand in the order in which those take effect."""
    found: list[model.Setting] = []
    at = -1
    for step in steps:
        act = step.act
        if not isinstance(act, model.Setting) or step.comments or act.name not in order[at + 1 :]:
            break
        at = order.index(act.name)
        found.append(act)
    return found, list(steps[len(found) :])
