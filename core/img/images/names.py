"""Names of stored images: given and taken away."""

from __future__ import annotations

from collections.abc import Sequence

from img.errors import ImgError
from img.images.stored import find
from img.oci.reference import Reference
from img.ports import Host


def tag(host: Host, source: str, name: str) -> str:
    """Let `name` stand for the stored image `source` as well; returns the whole name. Raises `UsageError`, `ImgError`."""
    descriptor = find(host, source).descriptor
    reference = Reference.parse(name)
    host.store.images.set(str(reference), descriptor)
    return str(reference)


def remove(host: Host, names: Sequence[str]) -> list[str]:
    """Forget `names`; a digest stands for all names of that image. Returns the whole names that are gone. What no image
    needs any more goes with the next prune. Every name that is there is forgotten, also if another is not: then raises
    `ImgError` at the end."""
    gone: list[str] = []
    missing: list[str] = []
    for text in names:
        try:
            found = find(host, text, every_name=True)
        except ImgError as error:
            missing.append(error.message)
            continue
        for name in found.image.names:
            if host.store.images.remove(str(name)):
                gone.append(str(name))
    if missing:
        raise ImgError("; ".join(missing), hint=f"removed: {', '.join(gone)}" if gone else "img ls shows what there is")
    return gone
