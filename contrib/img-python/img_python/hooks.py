"""What this package offers. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import img

img_contract = 1

FILE = "pyproject.toml"
_TABLE = re.compile(rb"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*\"?img-python\"?[ \t]*[.\]]", re.M)


@img.hookimpl
def img_offers() -> Iterable[img.Offer]:
    """One frontend: ``img build --frontend python .``"""
    help = "pyproject.toml: the image of a Python project"
    return [img.Offer("frontend", "python", help, "img_python.frontend:PythonFrontend", (FILE,))]


@img.hookimpl
def img_detect_frontend(file: str, head: bytes) -> str | None:
    """Ours is a pyproject.toml that has the table ``tool.img-python``."""
    return "python" if file.rpartition("/")[2] == FILE and _TABLE.search(head) else None
