"""The entry point. Imports nothing but sys: what a command needs, it imports itself."""

from __future__ import annotations

import sys

_OBJECTS = 50_000
"""After how many new objects cycles are looked for: reading modules makes many objects, and hardly a cycle."""


def main() -> None:
    """Run the command that the arguments name, and exit."""
    arguments = sys.argv[1:]
    if arguments in (["version"], ["--version"], ["-v"]):
        from img._version import VERSION

        print(f"img {VERSION}")
        return
    import gc

    gc.set_threshold(_OBJECTS)
    from img_cli.outcome import guarded

    _leave(guarded(arguments))


def _leave(code: int) -> None:
    """Exit as `sys.exit` does, with ``atexit`` heard and streams flushed, but without taking every module apart: that is a
    tenth of a cached build, and frees what the kernel frees."""
    import atexit
    import os
    import threading

    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream and not stream.closed:
                stream.flush()
        except OSError:  # nobody reads it any more
            code = code or 1
    os._exit(code)
