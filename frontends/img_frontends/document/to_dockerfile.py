"""A document as a Dockerfile that builds the same image. Each instruction is read again: one that does not come back as it
was, and whatever a Dockerfile has no words for, is an error with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from img.errors import FrontendError, Place
from img_frontends.common.problems import joined
from img_frontends.dockerfile.files import LAYERS
from img_frontends.dockerfile.heredocs import opening
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.printer import instruction
from img_frontends.dockerfile.reader import Heredoc, read
from img_frontends.dockerfile.tree import Instruction, Word
from img_frontends.document.acts import ACTS
from img_frontends.document.arguments import check_args
from img_frontends.document.flat import flatten, needs
from img_frontends.document.instructions import at, delimiter, of_arg, of_from
from img_frontends.document.lower import goal_of, stretches
from img_frontends.document.model import Arg, Document
from img_frontends.document.words import same

ESCAPE = "\\"
SPLIT = ("COPY", "ADD", "VOLUME")
"""Instructions whose words a Dockerfile cuts at every blank: with one in them they are written as JSON."""


def to_dockerfile(document: Document) -> str:
    """The text of a Dockerfile. `document` has nothing left to include. Raises `FrontendError`."""
    check_args(document)
    problems = _unsaid(document)
    flats = flatten(document)
    goal, _ = goal_of(document, flats, "")
    if not problems:
        used = {name for flat in flats for name in needs(flat.stage) if flat.name != name}
        if goal is not flats[-1] and goal.name not in used:
            flats = (*(flat for flat in flats if flat is not goal), goal)
        made = stretches(flats, {}, ())
        before = [of_arg(name, arg, _described(name, arg)) for name, arg in document.args]
        blocks = [[*before], *([one.start, *one.body] for one in made)]
        if goal is not flats[-1]:
            blocks.append([of_from("", replace(goal.stage, base=goal.name, platform="", comments=()))])
        texts = [_block(block, problems) for block in blocks if block]
    if problems:
        raise joined(problems)
    head = "".join(f"{row}\n" for row in _comments(document.comments))
    return (f"{head}\n" if head else "") + "\n".join(texts)


_HOW = {
    "cache": "leave it out, and build with --no-cache-filter STAGE",
    "retry": "leave it out, and let the script try again",
    "timeout": "leave it out, and build with --step-timeout",
    "resources": "leave it out, and build with --memory, --cpus and --pids-limit",
}


def _unsaid(document: Document) -> list[FrontendError]:
    """What no Dockerfile can say, whatever the arguments are."""
    found: list[FrontendError] = []
    for name, target in document.targets:
        found.append(_cannot(f"targets.{name}", at(target), "name the stage with --target"))
    for name, arg in document.args:
        if arg.type != "string":
            found.append(_cannot(f"the type of args.{name}", at(arg, "type"), "leave out its type"))
    for _, stage in document.stages:
        for step in stage.steps:
            if step.when:
                found.append(_cannot("when", at(step, "when"), "make two stages of it, and choose with --target"))
            for name, hint in _HOW.items():
                if not step.cache if name == "cache" else getattr(step, name):
                    found.append(_cannot(name, at(step, name), hint))
    return found


def _cannot(what: str, place: Place, hint: str = "") -> FrontendError:
    return FrontendError(f"a Dockerfile can't say {what}", hint=hint, place=place)


def _described(name: str, arg: Arg) -> tuple[str, ...]:
    return (f"{name} {arg.description}",) if arg.description and "\n" not in arg.description else ()


def _comments(comments: Sequence[str]) -> list[str]:
    return [f"# {text}".rstrip() for text in comments]


def _block(block: Sequence[Instruction], problems: list[FrontendError]) -> str:
    rows: list[str] = []
    for one in block:
        try:
            rows += [*one.line.above, _printed(one)]
        except FrontendError as error:
            problems.append(error)
    return "".join(f"{row}\n" for row in rows)


def _printed(one: Instruction) -> str:
    """One instruction, read again. Raises `FrontendError`."""
    if one.keyword in ACTS and one.keyword not in LAYERS:
        hint = "a run can do it, but it makes another layer"
        raise _cannot(one.keyword.lower(), one.line.whole, hint)
    shown = _fit(one)
    text = instruction(shown, ESCAPE)
    above = "" if one.keyword in ("FROM", "ARG") else "FROM x\n"
    try:
        found = parse(read(f"{above}{text}\n".encode("utf-8", "surrogateescape"), one.line.file))
    except FrontendError as error:
        raise _cannot(f"this {one.keyword}: {error.message}", one.line.whole) from None
    if len(found) != 1 + bool(above) or not _alike(found[-1], one):
        raise _cannot(f"this {one.keyword}", one.line.whole, "it would be read as something else")
    return text


def _fit(one: Instruction) -> Instruction:
    """The form in which a Dockerfile can say an instruction of a document."""
    if one.keyword == "RUN" and not one.exec and one.text.endswith("\n") and not one.heredocs:
        name = delimiter(one.text)
        line = replace(one.line, text=f"<<{name}", heredocs=(Heredoc(name, one.text, True, False, written=one.text),))
        return replace(one, line=line, words=(Word(f"<<{name}"),))
    if one.keyword in SPLIT and not one.heredocs and any(set(text) & set(" \t") for text in one.values):
        return replace(one, exec=True, words=tuple(Word(_unquoted(text)) for text in one.values))
    return one


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return inner if quoted and not set(inner) & set("\"'\\<") else text


def _alike(found: Instruction, wanted: Instruction) -> bool:
    """Whether two instructions do the same."""
    if found.keyword != wanted.keyword or len(found.flags) != len(wanted.flags):
        return False
    flags = zip(found.flags, wanted.flags, strict=True)
    if not all(one.name == other.name and (one.value or "") == (other.value or "") for one, other in flags):
        return False
    if wanted.keyword == "ONBUILD":
        return _whole(found) == _whole(wanted)
    if wanted.keyword == "RUN":
        return _command(found) == _command(wanted)
    if [(one.name, one.body, one.expand) for one in found.heredocs] != [
        (one.name, one.body, one.expand) for one in wanted.heredocs
    ]:
        return False
    if wanted.keyword in ("CMD", "ENTRYPOINT", "SHELL", "HEALTHCHECK", "MAINTAINER"):
        return found.exec == wanted.exec and found.values == wanted.values
    if wanted.pairs or found.pairs:
        return found.pairs == wanted.pairs
    return len(found.words) == len(wanted.words) and all(
        same(one, ESCAPE, other) for one, other in zip(found.values, wanted.values, strict=True)
    )


def _whole(one: Instruction) -> str:
    """The text with the bodies of its here-documents."""
    return one.text + "".join(f"\n{each.written}{each.name}" for each in one.heredocs)


def _command(one: Instruction) -> tuple[object, ...]:
    """What the shell gets, or the words that are run."""
    if one.exec:
        return (one.values,)
    if not one.heredocs:
        return ("shell", one.text)
    first = one.heredocs[0]
    if opening(one.text) is None:
        return ("shell", _whole(one))
    return ("script", first.name, first.body) if first.body.startswith("#!") else ("shell", first.body)
