"""Secrets of a build: where each comes from. Bytes are read when a step wants them and are never kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from img.errors import Cancelled, UsageError

LIMIT = 500 << 10
"""Bytes of the largest secret (BuildKit's bound)."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One secret: the file it is in, the command that prints it, or its value (from the environment of whoever
    asked). `repr` shows no value."""

    kind: Literal["file", "command", "value"]
    source: str = field(repr=False)


def read_secret(id: str, source: SecretSource, on_cancel: Callable[[Callable[[], None]], Callable[[], None]]) -> bytes:
    """The bytes of the secret `id`, exactly as the file has them or the command prints them.

    A command runs under ``/bin/sh -c`` and is killed through `on_cancel` (`img.ports.Host.on_cancel`). Raises
    `UsageError` for a file that can't be read, a command that fails, and more than `LIMIT` bytes; `Cancelled`.
    """
    if source.kind == "value":
        return _bounded(id, os.fsencode(source.source))
    if source.kind == "command":
        return _bounded(id, _printed(id, source.source, on_cancel))
    try:
        with open(source.source, "rb") as stream:
            return _bounded(id, stream.read(LIMIT + 1))
    except OSError as error:
        hint = "a secret's src is a file, relative to the current folder"
        raise UsageError(f"the secret {id!r} can't be read: {source.source}: {error.strerror}", hint=hint) from error


def _printed(id: str, command: str, on_cancel: Callable[[Callable[[], None]], Callable[[], None]]) -> bytes:
    """What a command prints. Its messages are dropped: they may hold what must not be shown."""
    import subprocess

    process = subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    killed: list[bool] = []

    def kill() -> None:
        killed.append(True)
        process.kill()

    forget = on_cancel(kill)
    try:
        assert process.stdout is not None
        with process.stdout:
            data = process.stdout.read(LIMIT + 1)
        if len(data) > LIMIT:
            process.kill()
    finally:
        forget()
        status = process.wait()
    if killed:
        raise Cancelled
    if status != 0 and len(data) <= LIMIT:
        hint = "run the command by hand to see why: its messages are not shown, as they may hold the secret"
        raise UsageError(f"the command of the secret {id!r} failed with exit code {status}", hint=hint)
    return data


def _bounded(id: str, data: bytes) -> bytes:
    if len(data) > LIMIT:
        hint = "large files belong into the context, or a bind mount from a stage"
        raise UsageError(f"the secret {id!r} is larger than {LIMIT >> 10} KiB", hint=hint)
    return data
