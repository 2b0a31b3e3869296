"""Mistakes that are found late, when a document is an instruction already, get the path of keys of where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from img.errors import FrontendError, ImgError
from img.ports import FrontendRequest, Resolver
from img_frontends.document.include import Read, above, reader_of
from img_frontends.document.values import Value

Paths = dict[tuple[int, int], str]


@contextmanager
def pathed(request: FrontendRequest, resolver: Resolver, read: Read) -> Iterator[None]:
    """Errors that leave have the path of keys before their message, unless they say it already. The files are read again for
    that, so it costs nothing as long as nothing is wrong."""
    try:
        yield
    except FrontendError as error:
        known: dict[str, Paths] = {}
        for one in (error, *error.others):
            if one.place is None or not one.place.text:
                continue
            file = one.place.file
            if file not in known:
                known[file] = _paths(request, resolver, read, file)
            path = known[file].get((one.place.line, one.place.column), "")
            if path and not path.startswith(one.message.partition(": ")[0]):
                one.message = f"{path}: {one.message}"
                one.args = (one.message,)
        raise


def _paths(request: FrontendRequest, resolver: Resolver, read: Read, file: str) -> Paths:
    try:
        if file == request.file:
            tree = read(request.text, file)
        else:
            inner, data = reader_of(file), resolver.context_file(file)
            if inner is None or data is None:
                return {}
            tree = inner(data, file)
    except ImgError:
        return {}
    found: Paths = {}
    _walk(tree.root, above(file), found)
    return found


def _walk(value: Value, path: str, found: Paths) -> None:
    if path:
        found.setdefault((value.line, value.column), path)
    for entry in value.entries:
        shown = entry.name if re.fullmatch(r"[A-Za-z0-9_-]+", entry.name) else repr(entry.name[:80])
        inner = f"{path}.{shown}" if path else shown
        found[entry.line, entry.column] = inner
        _walk(entry.value, inner, found)
    for number, item in enumerate(value.items):
        _walk(item, f"{path}[{number}]", found)
