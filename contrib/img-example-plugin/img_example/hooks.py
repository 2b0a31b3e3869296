"""What this package offers. Keep it light: it is imported whenever plugins are listed."""

from __future__ import annotations

import os
from collections.abc import Iterable

import img

img_contract = 1
"""The version of the plugin contract that this package is written for."""


@img.hookimpl
def img_offers() -> Iterable[img.Offer]:
    """One exporter: ``--output type=files``."""
    return [img.Offer("exporter", "files", "a list of the image's files", "img_example.exporter:FilesExporter")]


@img.hookimpl
def img_settings() -> Iterable[img.Setting]:
    """One setting, read from its environment variable by the command line."""
    return [img.Setting("files_prefix", "what to put before each name", "IMG_FILES_PREFIX", "/")]


@img.hookimpl
def img_detect_frontend(file: str, head: bytes) -> str | None:
    """Claims nothing; a real plugin would name its frontend for its own files."""
    return None


@img.hookimpl
def img_credentials(host: str, scope: str) -> tuple[str, str] | None:
    """Credentials from two variables, for one host."""
    if host == os.environ.get("IMG_EXAMPLE_HOST"):
        return os.environ.get("IMG_EXAMPLE_USER", ""), os.environ.get("IMG_EXAMPLE_PASSWORD", "")
    return None
