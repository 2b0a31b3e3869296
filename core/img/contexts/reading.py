"""Small files of a context, and the bounds on what is read whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from img.errors import FileError, UsageError

LIMIT = 4 << 20
"""Bytes of the largest build file, and of any file that a frontend may read from a context."""


def read_inside(root: Path, path: str) -> bytes | None:
    """A small regular file below `root`, None if there is none. A link that is absolute starts at `root` if it leads to
    something there. Raises `FileError` if the file is large, or lies outside."""
    found = Path(os.path.realpath(root / path.lstrip("/")))
    if not found.is_relative_to(os.path.realpath(root)):
        from img.files.folder import FolderTree

        inside = root / FolderTree(os.fspath(root), ()).resolve(path)
        if not os.path.lexists(inside):
            raise FileError(f"{path} leads out of the context", hint="put the file itself into the context")
        found = inside
    try:
        status = found.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > LIMIT:
            raise FileError(f"{path} has {status.st_size} bytes, more than the {LIMIT} allowed")
        return found.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}", hint="check its owner and mode") from error


def read_text(stream: BinaryIO, what: str) -> bytes:
    """All of a stream that holds a build file. Raises `UsageError` if it is too long."""
    data = stream.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise UsageError(f"{what} has more than the {LIMIT} bytes allowed in a build file")
    return data
