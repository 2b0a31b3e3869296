"""Which ignore file counts for a build: the one beside the build file, else the one at the context's root."""

from __future__ import annotations

from collections.abc import Callable, Mapping

NAME = ".dockerignore"


def find_ignore(options: Mapping[str, str], read: Callable[[str], bytes | None]) -> tuple[str, bytes] | None:
    """Name and bytes of the ignore file, None if there is none. `options` are a `FrontendRequest`'s; `read` reads a file
    of the context."""
    if "ignore" in options:
        return options.get("ignore_file", NAME), options["ignore"].encode("utf-8", "surrogateescape")
    path = options.get("path", "")
    for name in (f"{path}{NAME}", NAME) if path else (NAME,):
        data = read(name)
        if data is not None:
            return name, data
    return None
