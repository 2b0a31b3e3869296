"""Which frontend reads a build file."""

from __future__ import annotations

from img.errors import FrontendError, Place, UsageError
from img.plugin.registry import Registry
from img.request import Request

SYNTAX = "BUILDKIT_SYNTAX"
"""The build argument that says who reads the build file, whatever the file says."""

HEAD = 64 << 10
"""Bytes of a build file that hooks see."""


def chosen(registry: Registry, request: Request, name: str, text: bytes) -> str:
    """The frontend asked for by name, by a ``syntax`` of the request or of the file, or by the file's name.

    Raises `FrontendError` where the file asks for one that is not installed, and `UsageError` where the request does.
    """
    if request.frontend:
        known = registry.names("frontend")
        if request.frontend not in known:
            message = f"no frontend named {request.frontend!r} is installed"
            raise UsageError(message, hint=f"installed: {', '.join(known)}")
        return request.frontend
    syntax = request.args.get(SYNTAX, "")
    head = f"# syntax={syntax}\n".encode() if syntax else text[:HEAD]
    found: str = registry.first("img_detect_frontend", file=name, head=head) or "dockerfile"
    known = registry.names("frontend")
    if found not in known:
        raise FrontendError(
            f"no frontend named {found!r} is installed, which the syntax asks for",
            hint=f"installed: {', '.join(known)}; docker/dockerfile:… is img's own dockerfile and never fetched",
            place=None if syntax else _naming(name, text, found),
        )
    return found


def _naming(file: str, text: bytes, name: str) -> Place | None:
    """The line of a build file's head that names a frontend."""
    for number, line in enumerate(text[:HEAD].decode("utf-8", "replace").splitlines(), 1):
        if name in line:
            return Place(file, number, line.index(name) + 1, number, line)
    return None
