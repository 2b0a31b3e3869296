"""Rules about platforms and the files of the context."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import lru_cache

from img.errors import FileError, UsageError
from img.files.patterns import Ignore, read_ignore
from img.oci.platform import Platform
from img_frontends.dockerfile.checks.subject import Finding, Scene, Subject
from img_frontends.dockerfile.checks.variables import uses
from img_frontends.dockerfile.stages import Stage
from img_frontends.dockerfile.tree import Flag, Instruction

REMOTE = ("http://", "https://", "git://", "ssh://", "git@")
_compiled = lru_cache(8)(Ignore)


def redundant_platform(subject: Subject) -> Iterator[Finding]:
    """RedundantTargetPlatform: the flag says $TARGETPLATFORM and nothing else."""
    for stage, flag in _platforms(subject):
        value = (flag.value or "").strip("\"'")
        if value in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            line = stage.start.line
            yield Finding(line, line.place(flag.offset), {"variable": "$TARGETPLATFORM"})


def constant_platform(subject: Subject) -> Iterator[Finding]:
    """FromPlatformFlagConstDisallowed: unless the stage's name says what it is for."""
    for stage, flag in _platforms(subject):
        text = subject.expanded(flag.value or "", {})
        if any(uses(flag.value or "", subject.script.escape)):
            continue
        try:
            platform = Platform.parse(text)
        except UsageError:
            continue
        if platform.os not in stage.name and platform.architecture not in stage.name:
            line = stage.start.line
            yield Finding(line, line.place(flag.offset), {"platform": text})


def _platforms(subject: Subject) -> Iterator[tuple[Stage, Flag]]:
    for stage in subject.stages:
        for flag in stage.start.all("platform"):
            yield stage, flag


def wrong_platform(subject: Subject) -> Iterator[Finding]:
    """InvalidBaseImagePlatform: the image's configuration names another system or processor than was asked for."""
    for stage in subject.reached:
        wanted = subject.platform_of(stage)
        image = subject.witness.images.get((subject.base_name(stage), wanted))
        if image is None or not wanted or subject.base_of(stage) is not None:
            continue
        found, asked = Platform.of(image.config), Platform.parse(wanted)
        if (found.os, found.architecture) != (asked.os, asked.architecture) and found.os and found.architecture:
            line = stage.start.line
            words = {"image": subject.base_name(stage), "found": str(found), "wanted": wanted}
            yield Finding(line, line.place(stage.start.words[0].offset), words)


def ignored_file(subject: Subject, i: Instruction, scene: Scene) -> Iterator[Finding]:
    """CopyIgnoredFile: a source of COPY or ADD that the context's ignore file keeps out, by its name as written."""
    patterns = ignore_patterns(subject) if i.flag("from") is None else ()
    if not patterns:
        return
    ignore = _compiled(patterns)
    for word in i.words[:-1]:
        source = subject.expanded(word.text, scene.variables)
        if source.startswith((*REMOTE, "<<")) or not source:
            continue
        path = posixpath.normpath(posixpath.join("/", source)).lstrip("/")
        if path and ignore.excludes(path) and not _comes_back(path, patterns):
            yield Finding(i.line, i.line.place(word.offset), {"keyword": i.keyword, "path": source})


def _comes_back(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a ``!`` pattern may bring back something below a folder that is left out."""
    back = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(pattern.startswith((f"{path}/", "*")) for pattern in back)


def ignore_patterns(subject: Subject) -> tuple[str, ...]:
    """The ignore file's patterns, as lowering read them; empty if it did not ask, since then they do not apply."""
    path = subject.request.options.get("path", "")
    for name in filter(None, (f"{path}.dockerignore" if path else "", ".dockerignore")):
        data = subject.witness.files.get(name) if subject.lowered else subject.witness.context_file(name)
        if data is not None:
            try:
                return read_ignore(data, name)
            except FileError:  # lowering says it
                return ()
    return ()
