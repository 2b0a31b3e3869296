"""Names of a layer's members as ways through its tree: pure, and never out of it."""

from __future__ import annotations

from img.errors import LayerError


def clean(path: str) -> list[str]:
    """The parts of a member's name, relative to the root. Raises `LayerError` if it climbs out."""
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise LayerError(f"the layer holds {path!r}, which lies outside of it")
            parts.pop()
        else:
            parts.append(part)
    return parts


def join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def inside(done: list[str], link: str) -> list[str]:
    """The parts of the way a symlink in the folder `done` stands for, from the root; ``..`` stops at the root."""
    parts = [] if link.startswith("/") else list(done)
    for part in link.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts
