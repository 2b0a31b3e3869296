"""Commands between images and files: ``save``, ``load``, ``import``, ``export``, ``unpack``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from img.errors import LayerError, UsageError
from img.whole import whole_file
from img_cli.context import open_session

CHUNK = 1 << 20


def _place(output: str) -> str:
    """Where to write. Raises `UsageError` for a terminal."""
    if output in ("", "-") and sys.stdout.isatty():
        raise UsageError("cowardly refusing to save to a terminal", hint="use the -o flag, or redirect")
    return output or "-"


def save(images: Sequence[str], form: str, output: str, platform: str) -> int:
    from img.images.copy import save as act

    dest = _place(output)
    with open_session() as session, whole_file(dest) as write:
        act(session.engine, images, form, write, platform)
    return 0


def load(source: str, quiet: bool) -> int:
    from img.images.load import load as act

    with open_session() as session:
        given = Path(source) if source not in ("", "-") else _stdin("load")
        loaded = act(session.engine, given)
    for image in loaded:
        if quiet:
            print(image.descriptor.digest)
        for name in () if quiet else image.names:
            print(f"Loaded image: {name.familiar}")
        if not image.names and not quiet:
            print(f"Loaded image ID: {image.descriptor.digest}")
    return 0


def import_image(source: str, name: str, changes: Sequence[str], message: str, platform: str) -> int:
    from img.images.importing import import_image as act

    with open_session() as session:
        chunks = _stdin("import") if source == "-" else _file(source)
        try:
            descriptor = act(session.engine, chunks, name, changes, message, platform, _epoch())
        except LayerError as error:
            where = "standard input" if source == "-" else source
            hint = error.hint or "give one, compressed or not: img export makes them"
            raise LayerError(f"{where} is not the tar of a root filesystem: {error.message}", hint=hint) from error
    print(descriptor.digest)
    return 0


def export(name: str, output: str, platform: str) -> int:
    from img.images.flat import export as act

    dest = _place(output)
    with open_session() as session, whole_file(dest) as write:
        for data in act(session.engine, name, platform):
            write(data)
    return 0


def unpack(name: str, output: str, platform: str) -> int:
    from img.images.flat import unpack as act

    with open_session() as session:
        place = act(session.engine, name, output, platform)
    print(f"Successfully unpacked rootfs for {name} to: {place}")
    return 0


def _stdin(command: str) -> Iterator[bytes]:
    if sys.stdin.isatty():
        raise UsageError(
            f"img {command} reads standard input, which is a terminal", hint="redirect a file, or name one"
        )
    return _chunks(sys.stdin.buffer)


def _file(source: str) -> Iterator[bytes]:
    try:
        stream = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"can't read {source}: {error.strerror}") from error
    return _chunks(stream)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while data := stream.read(CHUNK):
            yield data


def _epoch() -> int | None:
    import os

    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not (text.isascii() and text.isdigit()):
        raise UsageError(f"SOURCE_DATE_EPOCH={text} is not a Unix time", hint="whole seconds since 1970")
    return int(text) if text else None
