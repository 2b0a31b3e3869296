"""What img's own frontends offer. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

from collections.abc import Iterable

from img.plugin.mark import hookimpl
from img.plugin.offers import Offer


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
    """Every name that no other frontend claims is taken for a Dockerfile, as `docker build -f` does."""
    return "dockerfile"
