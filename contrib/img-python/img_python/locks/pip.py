"""requirements.txt, with the files it includes (``-r``, ``-c``)."""

from __future__ import annotations

import posixpath
import re

from img.errors import FrontendError, Place
from img.ports import Resolver

_INCLUDE = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)[ =]?\s*(\S+)")
_LOCAL = re.compile(r"\s*(?:-e\b|--editable\b|\.{0,2}/|\.\s*$|file:)")


def read_requirements(name: str, data: bytes, resolver: Resolver) -> tuple[tuple[str, bytes], ...]:
    """The file and all it includes, by path in the context. Raises `FrontendError` for one that is missing, and for
    requirements that are files of the context: those would be installed again with every change of them."""
    found: dict[str, bytes] = {name: data}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        for number, text in enumerate(found[current].decode("utf-8", "replace").splitlines(), 1):
            place = Place(current, number, 1, number, text)
            if _LOCAL.match(text):
                hint = "the project itself is installed anyway; other folders need a wheel or an index"
                raise FrontendError(
                    f"{text.strip()} is a folder, which is not installed from here", hint=hint, place=place
                )
            match = _INCLUDE.match(text)
            if match is None or "://" in match[1]:
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(current), match[1]))
            if path.startswith(("../", "/")):
                raise FrontendError(f"{match[1]} is outside of the context", hint="move it in", place=place)
            if path in found:
                continue
            included = resolver.context_file(path)
            if included is None:
                raise FrontendError(f"there is no {path} in the context", place=place)
            found[path] = included
            waiting.append(path)
    return tuple(found.items())
