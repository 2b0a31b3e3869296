"""What this package offers. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import img

img_contract = 1

FILE = "package.json"
_KEY = re.compile(rb'"img-node"\s*:')


@img.hookimpl
def img_offers() -> Iterable[img.Offer]:
    """One frontend: ``img build --frontend node .``"""
    help = "package.json: the image of a Node.js project"
    return [img.Offer("frontend", "node", help, "img_node.frontend:NodeFrontend", (FILE,))]


@img.hookimpl
def img_detect_frontend(file: str, head: bytes) -> str | None:
    """Ours is a package.json that has the key ``img-node``."""
    return "node" if file.rpartition("/")[2] == FILE and _KEY.search(head) else None
