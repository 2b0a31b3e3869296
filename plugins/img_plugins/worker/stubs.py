"""Places for the mounts of a step in a root that is a plain copy: made where it has none, and gone when the step is over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def stubbed(root: str, mounts: Iterable[Mapping[str, Any]]) -> Iterator[None]:
    """In the block the folder `root` has something at the target of each of `mounts`, and where a system's own are."""
    stubs = Stubs(root)
    try:
        for target in ("/proc", "/sys", "/dev"):
            stubs.make(target, file=False)
        for item in mounts:
            if item["kind"] != "device":
                stubs.make(item.get("stub") or item["target"], file=bool(item.get("file")))
        yield
    finally:
        stubs.take_out()


@contextmanager
def times_kept(folder: int) -> Iterator[None]:
    """The folder's modification time stays."""
    before = os.stat(folder)
    try:
        yield
    finally:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


class Stubs:
    """Empty places for real mounts in one root, made where it has none and gone afterwards."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, FOLDER)
        self._made: list[tuple[int, str]] = []

    def make(self, target: str, *, file: bool) -> None:
        """See to it that there is something to mount on at `target`, which leads over no links. What is in the way shows
        when it is mounted."""
        parts = [part for part in os.path.normpath(target).split("/") if part]
        folder = os.dup(self._root)
        try:
            for number, part in enumerate(parts):
                last = number == len(parts) - 1
                self._make(folder, part, file and last)
                if last:
                    return
                inner = os.open(part, FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
        except OSError:
            return
        finally:
            os.close(folder)

    def _make(self, folder: int, name: str, file: bool) -> None:
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return
        except FileNotFoundError:
            pass
        with times_kept(folder):
            if file:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=folder))
            else:
                os.mkdir(name, 0o755, dir_fd=folder)
        self._made.append((os.dup(folder), name))

    def take_out(self) -> None:
        """Remove what is still empty, last things first."""
        for folder, name in reversed(self._made):
            with suppress(OSError), times_kept(folder):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=folder)
                elif stat.S_ISREG(status.st_mode) and not status.st_size:
                    os.unlink(name, dir_fd=folder)
            os.close(folder)
        self._made.clear()
        os.close(self._root)
