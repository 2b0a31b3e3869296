"""Lock files, as what pip installs: every package with its version and the digests of its files.

So the image needs no tool but pip, the index is whichever pip is configured for, and a file that is not the locked one is
refused. What pip can't be told that way is an error with its place; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from img.errors import FrontendError
from img.ports import Resolver
from img_python.document import Document
from img_python.project import Project
from img_python.settings import Settings

ORDER = ("uv.lock", "poetry.lock", "pylock.toml", "requirements.txt")


class Pins(NamedTuple):
    """What is to be installed. `files` are requirements files by path, the first is the one to install."""

    files: tuple[tuple[str, bytes], ...]
    complete: bool
    """Whether they name everything, so that nothing is to be resolved."""
    origin: str


def read_pins(document: Document, project: Project, settings: Settings, resolver: Resolver) -> Pins:
    """The project's lock file, or its own dependencies if it has none. Raises `FrontendError`."""
    for name in (settings.lock,) if settings.lock else ORDER:
        if name == "none":
            break
        data = resolver.context_file(name)
        if data is not None:
            return _read(name, data, project, settings, resolver)
        if settings.lock:
            message = f"there is no lock file {name} in the context"
            raise FrontendError(message, place=document.place("tool", "img-python", "lock"))
    text = "".join(f"{line}\n" for line in project.dependencies)
    return Pins((("requirements.txt", text.encode()),), False, document.file)


def _read(name: str, data: bytes, project: Project, settings: Settings, resolver: Resolver) -> Pins:
    base = name.rpartition("/")[2]
    if base.endswith(".txt"):
        from img_python.locks.pip import read_requirements

        return Pins(read_requirements(name, data, resolver), False, name)
    lock = Document(name, data)
    if base == "uv.lock":
        from img_python.locks.uv import packages
    elif base == "poetry.lock":
        from img_python.locks.poetry import packages
    elif base.startswith("pylock.") and base.endswith(".toml"):
        from img_python.locks.pylock import packages
    else:
        raise FrontendError(f"{name} is no lock file that is known", hint=f"known: {', '.join(ORDER)}")
    text = "".join(f"{line}\n" for line in sorted(packages(lock, project, settings)))
    return Pins((("requirements.txt", text.encode()),), True, name)


def line(name: str, version: str, marker: str, hashes: Iterable[str]) -> str:
    """One package in the form of a requirements file."""
    digests = "".join(f" --hash={digest}" for digest in sorted(set(hashes)))
    return f"{name}=={version}{f' ; {marker}' if marker else ''}{digests}"
