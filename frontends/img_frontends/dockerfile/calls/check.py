"""``check``: what the rules say about the file (frontend.lint)."""

from __future__ import annotations

from img.errors import Cancelled, FrontendError, ImgError, Place
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.dockerfile.calls.opened import opened
from img_frontends.dockerfile.calls.shape import Json, encoded, excerpt, location, present, printable
from img_frontends.dockerfile.checks.run import Told, told, violation
from img_frontends.dockerfile.checks.subject import Subject, rows_of

OFFLINE = "offline"
"""The option of a request that keeps the check from asking for base images."""


def check(request: FrontendRequest, resolver: Resolver) -> Report:
    """Warnings, and the error that a build would end with before its first step; status 1 if there is any of them.

    Without a target all stages are looked at. Base images are asked for, unless the request has the option `OFFLINE`.
    """
    found: list[Told] = []
    error: ImgError | None = None
    try:
        subject = opened(request, resolver, every=True, lowered=OFFLINE not in request.options)
        error = _trial(subject) if subject.lowered else None
        found = told(subject)
        error = error or violation(subject, tuple(one.advice for one in found))
    except FrontendError as problem:
        error = problem
    document = {
        "warnings": [_warning(one) for one in found],
        "sources": [{"filename": request.file, "data": encoded(request.text), "language": "Dockerfile"}],
    }
    if error is not None:
        place = location(error.place) if error.place else None
        document["buildError"] = present({"message": error.message, "location": place})
    return Report(_text(found, error, rows_of(request.text)), document, 1 if found or error else 0)


def _trial(subject: Subject) -> ImgError | None:
    """The error of lowering. It makes the subject's witness ask what it has to."""
    from img_frontends.dockerfile.lower import try_out

    goals = subject.stages if subject.goal is None else (subject.goal,)
    try:
        try_out(subject.request, subject.witness, subject.script, subject.before, subject.stages, goals)
    except Cancelled:
        raise
    except ImgError as error:
        return error
    return None


def _warning(one: Told) -> Json:
    rule = one.rule
    fields = {"ruleName": rule.name, "description": rule.sentence, "url": rule.url, "detail": one.advice.message}
    return {**present(fields), "location": location(_span(one))}


def _span(one: Told) -> Place:
    """The lines that BuildKit says: those of the whole instruction, or the last one for lines that are empty."""
    line = one.finding.line
    last = line.starts[-1][1]
    first, end = (last, last) if one.rule.name == "NoEmptyContinuation" else (line.first, line.last)
    return Place(line.file, first, 1, end)


def _text(found: list[Told], error: ImgError | None, rows: tuple[str, ...]) -> str:
    said: list[str] = []
    if found:
        count = "1 warning has" if len(found) == 1 else f"{len(found)} warnings have"
        said.append(f"Check complete, {count} been found!\n")
    elif error is None:
        said.append("Check complete, no warnings found.\n")
    for one in found:
        address = f" - {one.rule.url}" if one.rule.url else ""
        said.append(f"\nWARNING: {one.rule.name}{address}\n{printable(one.advice.message)}\n")
        said.append(excerpt(rows, _span(one)))
    for problem in (error, *(error.others if isinstance(error, FrontendError) and not found else ())) if error else ():
        said.append(f"\nERROR: {printable(problem.message)}\n")
        if problem.place:
            said.append(excerpt(rows, problem.place))
        if problem.hint:
            said.append(f"hint: {printable(problem.hint)}\n")
    return "".join(said)
