"""img builds OCI container images without a daemon and without root. This is its Python API (docs/reference/python.md).

    import img
    app = img.image("debian:bookworm-slim").run("make all").copy(img.local("."), "src", to="/app")
    img.build(app.cmd(["/app/bin"]), tag="app")

Names are imported when they are first used, so that ``import img`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from img._version import VERSION as __version__

if TYPE_CHECKING:
    from img import errors, events
    from img.api.building import Build, build, build_async, start
    from img.api.images import ImageInfo, StoredImage, copy, inspect, pull, push, remove, stored, tag
    from img.api.options import output
    from img.api.place import environment
    from img.errors import ImgError
    from img.ir import mounting as mount
    from img.ir.state import Files, State, git, http, image, local, scratch
    from img.plugin.mark import hookimpl
    from img.plugin.offers import Offer, Setting
    from img.request import BuildResult, Options, Request, StepOutcome
    from img.session import Session

_PLACES = {
    "Build": "img.api.building",
    "BuildResult": "img.request",
    "Files": "img.ir.state",
    "ImageInfo": "img.api.images",
    "ImgError": "img.errors",
    "Offer": "img.plugin.offers",
    "Options": "img.request",
    "Request": "img.request",
    "Session": "img.session",
    "Setting": "img.plugin.offers",
    "State": "img.ir.state",
    "StepOutcome": "img.request",
    "StoredImage": "img.api.images",
    "build": "img.api.building",
    "build_async": "img.api.building",
    "copy": "img.api.images",
    "environment": "img.api.place",
    "errors": "",
    "events": "",
    "git": "img.ir.state",
    "hookimpl": "img.plugin.mark",
    "http": "img.ir.state",
    "image": "img.ir.state",
    "inspect": "img.api.images",
    "local": "img.ir.state",
    "mount": "img.ir.mounting",
    "output": "img.api.options",
    "pull": "img.api.images",
    "push": "img.api.images",
    "remove": "img.api.images",
    "scratch": "img.ir.state",
    "start": "img.api.building",
    "stored": "img.api.images",
    "tag": "img.api.images",
}
"""Where each name is; empty for a module of this package."""

__all__ = [
    "Build",
    "BuildResult",
    "Files",
    "ImageInfo",
    "ImgError",
    "Offer",
    "Options",
    "Request",
    "Session",
    "Setting",
    "State",
    "StepOutcome",
    "StoredImage",
    "__version__",
    "build",
    "build_async",
    "copy",
    "environment",
    "errors",
    "events",
    "git",
    "hookimpl",
    "http",
    "image",
    "inspect",
    "local",
    "mount",
    "output",
    "pull",
    "push",
    "remove",
    "scratch",
    "start",
    "stored",
    "tag",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'img' has no attribute {name!r}")
        import importlib

        module = importlib.import_module(_PLACES[name] or f"img.{name}")
        value = module if name in ("errors", "events", "mount") else getattr(module, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
