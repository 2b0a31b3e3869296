"""An image's filesystem as one: as a tar, or as a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from img.errors import StoreError, UsageError
from img.images.places import opened
from img.images.stored import snapshot
from img.oci.folder import write_files
from img.ports import Host
from img.store.pipes import read_from


def export(host: Host, name: str, platform: str = "") -> Iterator[bytes]:
    """The filesystem of an image as a tar. Raises `ImgError` at the first step if there is no such image."""
    with opened(host, name) as found:
        trees = host.store.layers.trees(snapshot(host, found, found.one(platform)))
        yield from read_from(host.sandbox.call, "img.oci.flat:tar_view", [("", trees)])


def unpack(host: Host, name: str, dest: str = "rootfs", platform: str = "") -> str:
    """The filesystem of an image as the new folder `dest`; returns its path. Owners are the image's if root does it, else
    everything is the caller's and device nodes are left out. Raises `UsageError` if `dest` exists; after any error it
    does not."""
    place = Path(os.path.abspath(dest))
    if os.path.lexists(place):
        raise UsageError(f"{dest} exists already", hint="name another folder with -o, or remove it")
    if not place.parent.is_dir():
        raise UsageError(f"there is no folder {place.parent}", hint="make it first")
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        write_files(os.fspath(part), export(host, name, platform))
        os.rename(part, place)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreError(f"can't make {dest}: {error.strerror}", hint="check the folder and its mode") from error
        raise
    return os.fspath(place)
