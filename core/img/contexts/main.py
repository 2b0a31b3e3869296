"""The main context and the build file of a request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from img.contexts.reading import read_inside, read_text
from img.errors import UsageError
from img.request import DEFAULT_FILES, Request, build_file, inside, shown

if TYPE_CHECKING:
    from img.engine import Engine
    from img.ir.nodes import Source

STDIN = "standard input"


class Main(NamedTuple):
    """An opened main context. `text` is None if only the context was wanted and there is no build file."""

    folder: Path
    file: str = ""
    """The build file's name, for messages."""
    text: bytes | None = None
    options: Mapping[str, str] = MappingProxyType({})
    """See `img.ports.FrontendRequest.options`."""
    source: Source | None = None
    """Where a context came from that is not a folder of this machine."""


def open_main(engine: Engine, request: Request, need_file: bool = True) -> Main:
    """The context and the build file that `request` names, whatever kind they are.

    Raises `UsageError`, `FileError`, and what sources raise. Without `need_file`, a context without one is fine.
    """
    if request.context == "-":
        return _from_stdin(engine, request, need_file)
    if os.path.isdir(request.context):
        return _from_folder(engine, request, need_file)
    from img.contexts import remote

    source = remote.source_of(request.context, request.args, engine)
    if source is None:
        remote.need_folder(request.context)
        raise UsageError(f"the context {request.context} can't be used")
    opened = remote.fetch(engine, source)
    if opened.single is not None:
        if request.file:
            raise UsageError(
                f"{request.context} is no tar, so there is nothing for -f {request.file}", hint="leave out -f"
            )
        text = remote.text_of(opened, request.context)
        return Main(engine.store.scratch(), request.context, text, source=source)
    return _with_file(engine, request, opened.folder, source, need_file)


def _from_stdin(engine: Engine, request: Request, need_file: bool) -> Main:
    from img.contexts.archive import unpack_or_read

    if request.file == "-":
        raise UsageError("both the context and the build file are to come from standard input", hint="name one of them")
    folder = engine.store.scratch()
    text = unpack_or_read(_stdin(request), folder, STDIN)
    if text is None:
        return _with_file(engine, request, folder, None, need_file)
    if request.file:
        raise UsageError(
            f"standard input holds a build file, and -f names another, {request.file}",
            hint="leave out -f, or send a tar of the context",
        )
    return Main(folder, "Dockerfile", text)


def _from_folder(engine: Engine, request: Request, need_file: bool) -> Main:
    folder = Path(request.context)
    if request.file == "-" or "://" in request.file:
        return _with_file(engine, request, folder, None, need_file)
    try:
        file = build_file(request, _names(engine, request))
    except UsageError:
        if need_file or request.file:
            raise
        return Main(folder)
    text = _read(file)
    path = inside(file, folder)
    return Main(folder, shown(file), text, {"path": path} if path else {"path": "", **_beside(file)})


def _names(engine: Engine, request: Request) -> tuple[str, ...]:
    """What a build file may be called: what the frontend that was asked for says, else the usual names."""
    for offer, _ in engine.registry.offers("frontend") if request.frontend else ():
        if offer.name == request.frontend and offer.files:
            return offer.files
    return DEFAULT_FILES


def _beside(file: Path) -> dict[str, str]:
    """The ignore file beside a build file that lies outside of the context, as options for the frontend."""
    ignore = file.with_name(f"{file.name}.dockerignore")
    data = _read(ignore, missing=True)
    if data is None:
        return {}
    return {"ignore_file": shown(ignore), "ignore": data.decode("utf-8", "surrogateescape")}


def _read(file: Path, missing: bool = False) -> bytes | None:
    try:
        with file.open("rb") as stream:
            return read_text(stream, os.fspath(file))
    except FileNotFoundError as error:
        if missing:
            return None
        raise UsageError(f"can't read {file}: {error.strerror}") from error
    except OSError as error:
        raise UsageError(f"can't read the file {file}: {error.strerror}", hint="check its owner and mode") from error


def _with_file(engine: Engine, request: Request, folder: Path, source: Source | None, need_file: bool) -> Main:
    """The build file in a context that is not the user's own folder, or from somewhere else altogether."""
    if request.file == "-":
        return Main(folder, "Dockerfile", read_text(_stdin(request), STDIN), {"path": ""}, source)
    if "://" in request.file:
        return Main(folder, request.file, _fetched(engine, request.file), {"path": ""}, source)
    names = _names(engine, request)
    for name in (os.path.normpath(request.file).lstrip("/"),) if request.file else names:
        text = read_inside(folder, name)
        if text is not None:
            return Main(folder, name, text, {"path": name}, source)
    if not need_file and not request.file:
        return Main(folder, source=source)
    there = sorted(name for name in os.listdir(folder) if "ockerfile" in name or "ontainerfile" in name)
    where = STDIN if request.context == "-" else request.context
    raise UsageError(
        f"there is no {request.file or names[0]} in {where}",
        hint=f"there is {', '.join(there[:5])}: name it with -f" if there else "-f is relative to that context",
    )


def _fetched(engine: Engine, url: str) -> bytes:
    from img.contexts import remote
    from img.ir.nodes import Source

    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"the build file {url} can't be fetched", hint="-f takes a path, an http URL, or -")
    opened = remote.fetch(engine, Source("http", url))
    if opened.single is None:
        raise UsageError(f"{url} is a tar, not a build file", hint="name it as the context")
    return remote.text_of(opened, url)


def _stdin(request: Request) -> BinaryIO:
    if request.stdin is None:
        raise UsageError("there is no standard input to read from")
    return request.stdin
