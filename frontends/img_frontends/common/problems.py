"""Several problems of one file as one error."""

from __future__ import annotations

from collections.abc import Sequence

from img.errors import FrontendError


def joined(problems: list[FrontendError]) -> FrontendError:
    """The first of several problems, carrying the others, and what those carried."""
    first = problems[0]
    found = list(first.others)
    for problem in problems[1:]:
        found += [problem, *problem.others]
        problem.others = ()
    first.others = tuple(found)
    return first


def in_order(found: Sequence[FrontendError]) -> list[FrontendError]:
    """Problems in the order of the file, each once."""
    unique = {(error.message, error.place): error for error in found}
    return sorted(unique.values(), key=lambda e: (e.place.line, e.place.column) if e.place else (0, 0))
