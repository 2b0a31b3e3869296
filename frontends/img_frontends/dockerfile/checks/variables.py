"""Rules about variables, and where words use them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from img.errors import Place, UsageError
from img.oci.reference import Reference
from img_frontends.dockerfile.checks.subject import Finding, Scene, Subject
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.tree import Instruction

EXPANDED = ("ADD", "ARG", "COPY", "ENV", "EXPOSE", "LABEL", "RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
FLAGS = {"ADD": ("chown", "chmod", "checksum"), "COPY": ("chown", "chmod"), "RUN": ("mount",)}
NEVER_SET = ("SBOM_SCAN_CONTEXT", "SBOM_SCAN_STAGE")
"""Names that have a meaning as arguments and are never variables."""

SEARCHED = 200
"""As many names are searched for one that is near."""

_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*))")


class Use(NamedTuple):
    """A variable in a word."""

    name: str
    offset: int


def uses(word: str, escape: str, raw: bool = False) -> Iterator[Use]:
    """The variables of a word in order: not in single quotes (unless `raw`), and not behind the escape character."""
    if "$" not in word:
        return
    at, double = 0, False
    while at < len(word):
        character = word[at]
        match = _VARIABLE.match(word, at) if character == "$" else None
        if character == escape:
            at += 2
        elif character == "'" and not double and not raw:
            at = word.find("'", at + 1) + 1 or len(word)
        elif match:
            yield Use(match[1] or match[2], at)
            at = match.end()
        else:
            double ^= character == '"'
            at += 1


def undefined(subject: Subject, i: Instruction, scene: Scene) -> Iterator[Finding]:
    """UndefinedVar: once for each name of an instruction. As BuildKit has it, a default (``${v:-w}``) makes no difference."""
    if not scene.complete:
        return
    seen: set[str] = set()
    for use, place in _unset_in_arg(subject, i) if i.keyword == "ARG" else _used(i, subject.script.escape):
        known = use.name in scene.variables or use.name in scene.declared or use.name in NEVER_SET
        if not known and use.name not in seen:
            seen.add(use.name)
            near = _near(use.name, scene.variables, scene.declared)
            yield Finding(i.line, place, {"name": use.name, "near": f" (did you mean ${near}?)" if near else ""})


def _unset_in_arg(subject: Subject, i: Instruction) -> Iterator[tuple[Use, Place]]:
    """The variables that the defaults of an ARG use, but for those that it has declared before them itself."""
    declared: set[str] = set()
    for (name, _), word in zip(i.pairs, i.words, strict=True):
        for use in uses(word.text, subject.script.escape):
            if use.name not in declared:
                yield use, i.line.place(word.offset + use.offset)
        declared.add(name)


def _used(i: Instruction, escape: str) -> Iterator[tuple[Use, Place]]:
    """The variables that an instruction's words and flags use, with their places."""
    if "$" not in i.line.text and not i.heredocs:
        return
    for flag in i.flags:
        if flag.name in FLAGS.get(i.keyword, ()):
            start = flag.offset + len(flag.name) + 3
            for use in uses(flag.value or "", escape):
                yield use, i.line.place(start + use.offset)
    if i.keyword == "RUN":
        return
    heads = [f"<<{'-' if heredoc.chomp else ''}{heredoc.name}" for heredoc in i.heredocs]
    for word in i.words:
        if word.text in heads:
            continue
        for use in uses(word.text, escape):
            yield use, i.line.place(word.offset + use.offset)
    for heredoc in i.heredocs:
        for use in uses(heredoc.body, "\\", raw=True) if heredoc.expand else ():
            yield use, i.line.whole


def undeclared_in_from(subject: Subject) -> Iterator[Finding]:
    """UndefinedArgInFrom: in the image's name and in --platform."""
    for stage in subject.stages:
        line = stage.start.line
        for word, offset in _from_words(stage):
            for use in uses(word, subject.script.escape):
                if use.name not in subject.global_names:
                    near = _near(use.name, subject.global_names)
                    shown = f" (did you mean {near}?)" if near else ""
                    yield Finding(line, line.place(offset + use.offset), {"name": use.name, "near": shown})


def _near(name: str, *groups: Collection[str]) -> str:
    """The nearest name of `groups`, empty if none is near, or if there are so many that looking would take long."""
    if sum(map(len, groups)) > SEARCHED:
        return ""
    # the measure of likeness is dear: a slip of the finger keeps the length, about, and an end
    alike = {one for group in groups for one in group if abs(len(one) - len(name)) <= 2}
    ends = sorted(one for one in alike if one[:1] == name[0] or one[-1:] == name[-1])
    return next(iter(get_close_matches(name, ends, 1)), "")


def _from_words(stage: Stage) -> Iterator[tuple[str, int]]:
    for flag in stage.start.all("platform"):
        yield flag.value or "", flag.offset + len("--platform=")
    yield stage.base, stage.start.words[0].offset


def bad_default(subject: Subject) -> Iterator[Finding]:
    """InvalidDefaultArgInFrom: no image's name comes of it if the build is given no arguments."""
    values = subject.values_with({})
    for stage in subject.stages:
        if not any(uses(stage.base, subject.script.escape)):
            continue
        name = subject.expanded(stage.base, values)
        if not name or not _is_image(name):
            line = stage.start.line
            yield Finding(line, line.place(stage.start.words[0].offset), {"base": stage.base})


def _is_image(name: str) -> bool:
    try:
        Reference.parse(name)
    except UsageError:
        return False
    return True
