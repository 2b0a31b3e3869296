"""A file that appears whole or not at all, or standard output.

What is there and no regular file (a device, a named pipe, ``/dev/fd/3``) is written to, never replaced: as root, that would
take /dev/null away from everybody.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from img.errors import StoreError


def is_special(path: str) -> bool:
    """Whether something is there that is neither a regular file nor a folder, links followed."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def whole_file(dest: str) -> Iterator[Callable[[bytes], object]]:
    """A function that writes to `dest` (``-`` is standard output). The file is there only if all went well.

    Raises `StoreError` if the disk refuses.
    """
    if dest == "-":
        try:
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StoreError(f"can't write to standard output: {error.strerror}", hint="check where it goes") from error
        return
    path = Path(dest)
    if is_special(dest):
        try:
            with path.open("wb") as out:
                yield out.write
        except OSError as error:
            raise StoreError(
                f"can't write {dest}: {error.strerror}", hint="check what it is, and who reads it"
            ) from error
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as out:
            yield out.write
        os.replace(part, path)
    except OSError as error:
        raise StoreError(
            f"can't write {dest}: {error.strerror}", hint="check the folder, its mode and its disk"
        ) from error
    finally:
        part.unlink(missing_ok=True)
