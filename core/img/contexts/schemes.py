"""``SCHEME://REST``: things of any source plugin, by the name of its offer.

A plugin whose object has `resolve` (`img.ports.ImageSource`) stands for images: wherever an image may be named, its address
may. Any other one stands for files. It is given REST; only git and http, whose addresses people write as they are, get the
whole of it (`img.contexts.remote`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from img.errors import ImgError, UsageError
from img.ir.nodes import Source

if TYPE_CHECKING:
    from img.engine import Engine
    from img.ports import BaseImage

BY_ADDRESS = ("http", "https", "git")
"""Schemes of addresses that are read elsewhere."""


def names_image(engine: Engine, text: str) -> bool:
    """Whether `text` is the address of an image of some source plugin. Raises `PluginError` for one that is broken."""
    scheme = _scheme(engine, text)
    return bool(scheme) and hasattr(engine.load("source", scheme), "resolve")


def image(engine: Engine, text: str, platform: str) -> BaseImage | None:
    """The image whose address `text` is; None if it is none. Raises what its source raises."""
    if not names_image(engine, text):
        return None
    scheme, _, rest = text.partition("://")
    found: BaseImage = engine.load("source", scheme).resolve(rest, platform)
    return found


def need_image(engine: Engine, text: str, platform: str) -> BaseImage:
    """The same for a text with ``://`` in it, which is the name of no image. Raises `UsageError` if no source has it."""
    found = image(engine, text, platform)
    if found is None:
        scheme = text.partition("://")[0]
        known = [name for name in engine.registry.names("source") if _has_images(engine, name)]
        raise UsageError(
            f"{text!r} is no image: no source named {scheme!r} is installed that has some",
            hint=f"sources of images: {', '.join(known)}",
        )
    return found


def _has_images(engine: Engine, name: str) -> bool:
    """Whether the source `name` is one of images, and works."""
    try:
        return hasattr(engine.load("source", name), "resolve")
    except ImgError:
        return False


def files(engine: Engine, text: str) -> Source | None:
    """The source of files whose address `text` is; None if no plugin has the scheme, or it stands for images."""
    scheme = _scheme(engine, text)
    if not scheme or names_image(engine, text):
        return None
    return Source(scheme, text.partition("://")[2])


def _scheme(engine: Engine, text: str) -> str:
    scheme, mark, _ = text.partition("://")
    known = mark and scheme not in BY_ADDRESS and scheme in engine.registry.names("source")
    return scheme if known else ""
