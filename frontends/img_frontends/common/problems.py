"""Several problems of one file as one error."""

from __future__ import annotations

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
