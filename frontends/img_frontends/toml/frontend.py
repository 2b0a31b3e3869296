"""The frontend ``toml`` as the engine sees it. Nothing heavy is imported before a file has to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from img.ir.definition import Definition
    from img.ports import FrontendRequest, Host, Report, Resolver


class TomlFrontend:
    """Offered as the frontend ``toml``. See `img.ports.Frontend`."""

    calls: tuple[str, ...] = ("check", "outline", "targets", "describe", "convert", "plan", "compose", "schema")

    def __init__(self, host: Host) -> None:
        self._host = host

    def load(self, request: FrontendRequest, resolver: Resolver) -> Definition:
        """Raises `FrontendError` with the place of each independent problem."""
        from img_frontends.document.lower import lower
        from img_frontends.toml.read import read_toml

        return lower(request, resolver, read_toml)

    def call(self, name: str, request: FrontendRequest, resolver: Resolver) -> Report:
        """See `img.ports.Frontend`."""
        from img_frontends.document.calls import answer
        from img_frontends.toml.read import read_toml

        return answer(name, request, resolver, read_toml)
