"""Where an exporter writes: a file that appears whole or not at all, or standard output."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from img.errors import UsageError
from img.whole import whole_file as open_whole


def whole_file(dest: str, kind: str) -> AbstractContextManager[Callable[[bytes], object]]:
    """See `img.whole.whole_file`. Raises `UsageError` without a `dest`."""
    if not dest:
        raise UsageError(f"--output type={kind} needs dest=…", hint="dest=- is standard output")
    return open_whole(dest)
