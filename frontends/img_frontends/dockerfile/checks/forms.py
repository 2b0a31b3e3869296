"""Rules about forms that are out of date, or that do something else than they seem to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from img.errors import Place
from img_frontends.dockerfile.checks.subject import Finding, Scene, Subject
from img_frontends.dockerfile.reader import Line
from img_frontends.dockerfile.space import BLANKS
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.tree import Instruction, Word

RESERVED = ("context", "scratch")
ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_SECRET = re.compile(
    r"(?:\A|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.IGNORECASE
)
_PUBLIC = re.compile(r"(?:\A|_)(?:public|file|version)(?:_|\Z)", re.IGNORECASE)
_HOST = re.compile(r"[^/]*:[^/]")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def duplicate_stage(subject: Subject) -> Iterator[Finding]:
    """DuplicateStageName: every use of a name but the first."""
    seen: set[str] = set()
    for stage in subject.stages:
        if stage.name in seen:
            yield Finding(stage.start.line, _name_place(stage), {"name": stage.name})
        seen.add(stage.name)
        seen.discard("")


def reserved_stage(subject: Subject) -> Iterator[Finding]:
    """ReservedStageName."""
    for stage in subject.stages:
        if stage.name in RESERVED:
            yield Finding(stage.start.line, _name_place(stage), {"name": stage.name})


def _name_place(stage: Stage) -> Place:
    return stage.start.line.place(stage.start.words[2].offset)


def empty_continuation(subject: Subject) -> Iterator[Finding]:
    """NoEmptyContinuation: one for each instruction that has such lines, at the first of them."""
    for i in subject.instructions:
        for number in empty_rows(i.line)[:1]:
            yield Finding(i.line, Place(i.line.file, number, 1, number, subject.rows[number - 1]))


def empty_rows(line: Line) -> list[int]:
    """Numbers of the lines of the file that are empty between the continued lines of an instruction."""
    rows = line.source.split("\n")
    if line.heredocs:  # what is empty in their bodies is theirs
        rows = rows[: line.starts[-1][1] - line.first]
    return [line.first + n for n, row in enumerate(rows) if n and not row.strip(BLANKS)]


def maintainer(subject: Subject, i: Instruction) -> Iterator[Finding]:
    """MaintainerDeprecated."""
    yield Finding(i.line, i.line.whole)


def legacy_pair(subject: Subject, i: Instruction) -> Iterator[Finding]:
    """LegacyKeyValueFormat."""
    if i.legacy:
        yield Finding(i.line, i.line.whole, {"keyword": i.keyword})


def repeated(subject: Subject) -> Iterator[Finding]:
    """MultipleInstructionsDisallowed: at each but the last of a stage, which is the one that counts."""
    for stage in subject.reached:
        last: dict[str, Instruction] = {}
        for i in stage.body:
            if i.keyword in ONCE:
                if i.keyword in last:
                    earlier = last[i.keyword]
                    yield Finding(earlier.line, earlier.line.whole, {"keyword": i.keyword})
                last[i.keyword] = i


def shell_form(subject: Subject, i: Instruction, scene: Scene) -> Iterator[Finding]:
    """JSONArgsRecommended: unless somebody chose the shell."""
    if not i.exec and not scene.shell:
        yield Finding(i.line, i.line.whole, {"keyword": i.keyword})


def relative_workdir(subject: Subject, i: Instruction, scene: Scene) -> Iterator[Finding]:
    """WorkdirRelativePath: only the first WORKDIR of a stage and its bases in this file, which mends the others."""
    if scene.workdir or not i.words:
        return
    path = subject.expanded(i.text, scene.variables)
    windows = subject.platform.startswith("windows/") and _DRIVE.match(path)
    unknown = i.text.startswith("$") and not scene.complete
    if not path.startswith("/") and not windows and not unknown:
        yield Finding(i.line, i.line.place(i.words[0].offset), {"path": path})


def secret_name(subject: Subject, i: Instruction, scene: Scene) -> Iterator[Finding]:
    """SecretsUsedInArgOrEnv: judged by the name alone. Arguments of the global scope reach no image by themselves."""
    for (name, _), word in zip(i.pairs, i.words, strict=True):
        if _SECRET.search(name) and not _PUBLIC.search(name):
            yield Finding(i.line, i.line.place(word.offset), {"keyword": i.keyword, "name": name})


def host_port(subject: Subject, i: Instruction, scene: Scene) -> Iterator[Finding]:
    """ExposeInvalidFormat: a host's address or port, which EXPOSE has no use for."""
    for word in i.words:
        for text in subject.expanded(word.text, scene.variables).split():
            if _HOST.match(text):
                yield Finding(i.line, i.line.place(word.offset), {"port": text})


def description(subject: Subject) -> Iterator[Finding]:
    """InvalidDefinitionDescription: the last comment above a named FROM or an ARG begins with no name of it."""
    for i in subject.instructions:
        names = _defined(i)
        comments = [text for text in i.line.comments if not _is_order(text)] if names else []
        if comments and comments[-1].split(" ", 1)[0] not in names:
            shown = names[0] if len(names) == 1 else "<arg_key>"
            yield Finding(i.line, i.line.whole, {"keyword": i.keyword, "name": shown})


def _defined(i: Instruction) -> list[str]:
    if i.keyword == "ARG":
        return [name for name, _ in i.pairs]
    words: tuple[Word, ...] = i.words
    return [words[2].text] if i.keyword == "FROM" and len(words) == 3 else []


def _is_order(comment: str) -> bool:
    """Whether a comment is one for the frontend: a parser directive, or what to check."""
    name, equals, _ = comment.partition("=")
    return bool(equals) and name.strip().lower() in ("syntax", "escape", "check")
