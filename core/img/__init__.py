"""img builds OCI container images without a daemon and without root. This is its Python API.

    import img
    app = img.image("debian:bookworm-slim").run("make all").copy(img.local("."), "/src", to="/app")
    img.build(app.cmd(["/app/bin"]), tag="app")

Names are imported when they are first used, so that ``import img`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from img._version import VERSION as __version__

if TYPE_CHECKING:
    from img.api import build
    from img.errors import ImgError
    from img.ir.state import State, image, local, scratch
    from img.plugin.mark import hookimpl
    from img.plugin.offers import Offer, Setting
    from img.session import BuildResult, Options, Request, Session

_PLACES = {
    "BuildResult": "img.request",
    "ImgError": "img.errors",
    "Offer": "img.plugin.offers",
    "Options": "img.request",
    "Request": "img.request",
    "Session": "img.session",
    "Setting": "img.plugin.offers",
    "State": "img.ir.state",
    "build": "img.api",
    "hookimpl": "img.plugin.mark",
    "image": "img.ir.state",
    "local": "img.ir.state",
    "scratch": "img.ir.state",
}

__all__ = [
    "BuildResult",
    "ImgError",
    "Offer",
    "Options",
    "Request",
    "Session",
    "Setting",
    "State",
    "__version__",
    "build",
    "hookimpl",
    "image",
    "local",
    "scratch",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'img' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
