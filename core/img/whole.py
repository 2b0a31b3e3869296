"""A file that appears whole or not at all; or standard output, a pipe or a device, which are written to as they stand."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from img.errors import StoreError


@contextmanager
def whole_file(dest: str) -> Iterator[Callable[[bytes], object]]:
    """A function that writes to `dest` (``-`` is standard output). The file is there only if all went well. What is no
    regular file is written to: to put a file in the place of /dev/null would take it away from the whole machine.

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
    stands = _stands(path)
    part = path if stands else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb" if stands else "xb") as out:
            yield out.write
        if not stands:
            os.replace(part, path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(
            f"can't write {dest}: {error.strerror}", hint="check the folder, its mode and its disk"
        ) from error
    finally:
        if not stands:
            part.unlink(missing_ok=True)


def _stands(path: Path) -> bool:
    """Whether there is a device, pipe or socket, or a name of an open file (/dev/stdout, /dev/fd/3, /proc/self/fd/3)."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if not stat.S_ISREG(mode):
        return not stat.S_ISDIR(mode)
    folder = os.path.realpath(path.parent)
    if path.is_symlink() and not folder.startswith("/proc/"):
        folder = os.path.realpath(os.path.dirname(os.path.join(folder, os.readlink(path))))
    return folder.startswith("/proc/")
