"""A file opened for a question: read and grouped into stages, but not lowered."""

from __future__ import annotations

from img.ports import FrontendRequest, Resolver
from img_frontends.dockerfile import stages as grouping
from img_frontends.dockerfile.checks.subject import Subject
from img_frontends.dockerfile.checks.witness import Witness
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.reader import read


def opened(request: FrontendRequest, resolver: Resolver, *, every: bool = False, lowered: bool = False) -> Subject:
    """The file of a request. `every`: without a target all stages are meant, not the last. Raises `FrontendError`."""
    script = read(request.text, request.file)
    before, stages = grouping.split(parse(script))
    goal = None if every and not request.target else grouping.target(stages, request.target)
    return Subject(request, script, before, stages, goal, Witness(resolver), lowered)


def described(comments: tuple[str, ...], name: str) -> str:
    """What the comments above an instruction say about `name`: the rest of the first line that begins with it."""
    for comment in comments:
        if name and comment.startswith(f"{name} "):
            return comment[len(name) + 1 :].strip()
    return ""
