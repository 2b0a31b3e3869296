"""Whether an image is what its documents promise: every digest, size and diff id, and that they fit each other."""

from __future__ import annotations

from typing import NamedTuple

from img.errors import ImgError
from img.images.places import opened
from img.images.stored import whole
from img.oci.closure import closure, images
from img.oci.validate import check_platform, validate
from img.ports import Host


class Checked(NamedTuple):
    """One image of what was verified; `problem` is empty if nothing is wrong with it."""

    digest: str
    platform: str
    problem: str


def verify(host: Host, name: str) -> list[Checked]:
    """Read every blob of the image, or of every image of the index, that `name` names (`img.images.places`). Raises
    `ImgError` if there is no such image, or if its index can't be read."""
    from img.oci.platform import Platform

    with opened(host, name) as found:
        results: list[Checked] = []
        seen: set[str] = set()
        for one in images(found.descriptor, found.read):
            problem = ""
            try:
                check_platform(one.descriptor, one.config)
                validate(one.manifest, found.provider.chunks)
            except ImgError as error:
                problem = error.message
            seen |= {part.digest for part in (one.descriptor, one.manifest.config, *one.manifest.layers)}
            results.append(Checked(one.descriptor.digest, str(Platform.of(one.config)), problem))
        for part in closure(found.descriptor, found.read):
            if part.digest in seen:
                continue
            try:
                for _ in whole(found.provider, part):
                    pass
            except ImgError as error:
                results.append(Checked(part.digest, "", error.message))
        return results
