"""The hooks a plugin package may implement. Mark yours with `hookimpl`.

A plugin package names its hooks module in the entry-point group ``img``. The module must import nothing heavy:
it is imported whenever offers are listed.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from img.plugin.offers import Offer, Setting

PROJECT = "img"
GROUP = "img"

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def img_offers() -> Iterable[Offer]:  # type: ignore[empty-body]
    """What this package offers. All packages' offers are joined."""


@hookspec
def img_settings() -> Iterable[Setting]:  # type: ignore[empty-body]
    """The settings this package reads. All packages' settings are joined."""


@hookspec(firstresult=True)
def img_detect_frontend(file: str, head: bytes) -> str | None:
    """The name of the frontend that reads build file `file`, whose first bytes are `head`; None if not ours.

    The first answer counts; packages that img did not ship are asked before its own.
    """


@hookspec(firstresult=True)
def img_credentials(host: str, scope: str) -> tuple[str, str] | None:
    """User name and password (or ``"<token>"`` and an identity token) for registry `host`; None if unknown.

    `scope` is the repository that is asked for, or empty. Asked at most once for each and run, and only after the host
    wanted credentials. The first answer counts.
    """
