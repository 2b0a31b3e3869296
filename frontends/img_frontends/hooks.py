"""What img's own frontends offer. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

from collections.abc import Iterable

from img.plugin.mark import hookimpl
from img.plugin.offers import Offer

DOCKERFILE = ("dockerfile", "dockerfile.v0", "docker/dockerfile", "docker/dockerfile-upstream")
"""What a ``syntax`` calls the Dockerfile's own frontend."""


@hookimpl
def img_offers() -> Iterable[Offer]:
    return [
        Offer(
            "frontend",
            "dockerfile",
            "Dockerfile and Containerfile",
            "img_frontends.dockerfile.frontend:DockerfileFrontend",
        ),
    ]


@hookimpl
def img_detect_frontend(file: str, head: bytes) -> str | None:
    """Who the file asks for with ``syntax``; else it is taken for a Dockerfile, whatever its name, as `docker build -f`
    does. Every form of ``docker/dockerfile`` means img's own frontend, which is never fetched."""
    if b"syntax" not in head.lower():
        return "dockerfile"
    from img_frontends.dockerfile.directives import syntax_of

    syntax = syntax_of(head)
    name = syntax.removeprefix("docker.io/").partition("@")[0].partition(":")[0]
    return "dockerfile" if name in ("", *DOCKERFILE) else syntax
