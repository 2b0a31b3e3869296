"""The frontend as the engine sees it. Nothing heavy is imported before a file has to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from img.ir.definition import Definition
    from img.ports import FrontendRequest, Host, Report, Resolver


class DockerfileFrontend:
    """Offered as the frontend ``dockerfile``. See `img.ports.Frontend`."""

    calls: tuple[str, ...] = ("check", "outline", "targets", "describe", "fix", "convert")

    def __init__(self, host: Host) -> None:
        self._host = host

    def load(self, request: FrontendRequest, resolver: Resolver) -> Definition:
        """Raises `FrontendError` with the place of each independent problem."""
        from img_frontends.dockerfile.lower import lower

        return lower(request, resolver)

    def call(self, name: str, request: FrontendRequest, resolver: Resolver) -> Report:
        """See `img.ports.Frontend`. Each answer's fields are those of BuildKit's sub-request (`calls.answer`)."""
        from img_frontends.dockerfile.calls.answer import answer

        return answer(name, request, resolver)
