"""Where images are read from: the contract, and what follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from img.errors import CorruptBlob, ImgError
from img.oci.closure import OneImage, images
from img.oci.layout import Named
from img.oci.platform import Platform, host_platform, select
from img.oci.reference import Reference
from img.oci.spec import MAX_DOCUMENT, Descriptor


class Provider(Protocol):
    """One place with images. Safe from several threads."""

    where: str
    """For messages: ``the store``, ``the archive x.tar``."""

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob's bytes, not verified. Raises `ImgError` if it is not there."""


class Found(NamedTuple):
    """An image in its place."""

    provider: Provider
    image: Named

    @property
    def descriptor(self) -> Descriptor:
        return self.image.descriptor

    @property
    def title(self) -> str:
        """What to call it."""
        names = self.image.names
        return names[0].familiar if names else self.image.descriptor.digest

    def read(self, descriptor: Descriptor) -> bytes:
        """A document, whole and verified. Raises `CorruptBlob`."""
        return read(self.provider, descriptor)

    def images(self) -> list[OneImage]:
        """Every image, one for each platform. Raises `LayerError`."""
        return list(images(self.descriptor, self.read))

    def one(self, platform: str = "") -> OneImage:
        """The image for `platform`; without one that for this machine, or the only one there is. Raises
        `RegistryError` naming the platforms there are."""
        from img.oci.closure import is_attestation, is_index
        from img.oci.spec import Index

        descriptor = self.descriptor
        for _ in range(4):
            if not is_index(descriptor):
                break
            there = [m for m in Index.parse(self.read(descriptor)).manifests if not is_attestation(m)]
            if len(there) == 1 and not platform:
                descriptor = there[0]
            else:
                wanted = Platform.parse(platform) if platform else host_platform()
                descriptor = select(there, wanted, self.title)
        found = next(iter(images(descriptor, self.read)), None)
        if found is None:
            raise ImgError(f"{self.title} is an index without an image")
        if platform and (has := Platform.of(found.config)) != Platform.parse(platform):
            raise ImgError(f"{self.title} is for {has}, not for {platform}", hint=f"say --platform {has}, or nothing")
        return found


def read(provider: Provider, descriptor: Descriptor) -> bytes:
    """A document's bytes, verified. Raises `CorruptBlob` for others than the promised ones."""
    if descriptor.size > MAX_DOCUMENT:
        raise CorruptBlob(f"{provider.where} has a document of {descriptor.size} bytes, {MAX_DOCUMENT} are allowed")
    return b"".join(verified(provider.chunks(descriptor), descriptor, provider.where))


def verified(chunks: Iterable[bytes], descriptor: Descriptor, where: str) -> Iterator[bytes]:
    """The same chunks. Raises `CorruptBlob` as soon as they are more than promised, and at their end if they were not
    those bytes."""
    record, size = hashlib.sha256(), 0
    for data in chunks:
        size += len(data)
        if size > descriptor.size:
            raise CorruptBlob(f"{where} has more than the promised {descriptor.size} bytes of {descriptor.digest}")
        record.update(data)
        yield data
    if size < descriptor.size:
        raise CorruptBlob(f"{where} has only {size} of the {descriptor.size} bytes of {descriptor.digest}")
    if "sha256:" + record.hexdigest() != descriptor.digest:
        raise CorruptBlob(f"{where} has other bytes than {descriptor.digest}: sha256:{record.hexdigest()}")


def named(descriptor: Descriptor, *names: Reference) -> Named:
    return Named(descriptor, tuple(names))
