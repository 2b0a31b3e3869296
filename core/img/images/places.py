"""Names of places: ``docker://NAME``, ``oci:FOLDER[:NAME]``, ``oci-archive:FILE[:NAME]``, ``docker-archive:FILE[:NAME]``; a
plain name is the store's. The words are skopeo's (containers-transports(5))."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from img.digest import sha256
from img.errors import ImgError, UsageError
from img.images.load import Backed, Layout, images_of, open_archive
from img.images.provider import Found, Provider
from img.images.stored import find
from img.oci.layout import Named
from img.oci.reference import Reference
from img.oci.spec import INDEXES, MANIFESTS, Descriptor
from img.ports import Host

REGISTRY, STORE = "docker", "store"
FOLDER, OCI_ARCHIVE, DOCKER_ARCHIVE = "oci", "oci-archive", "docker-archive"


class Place(NamedTuple):
    """A kind of place, the path of a file or folder, and an image's name there."""

    kind: str
    path: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises `UsageError` for a place that names nothing."""
        if text.startswith("docker://"):
            return cls(REGISTRY, "", str(Reference.parse(text.removeprefix("docker://"))))
        kind, colon, rest = text.partition(":")
        if not colon or kind not in (FOLDER, OCI_ARCHIVE, DOCKER_ARCHIVE):
            if text.startswith(("containers-storage:", "docker-daemon:", "dir:")):
                raise UsageError(
                    f"img can't reach {kind}: images", hint="docker://, oci:, oci-archive:, docker-archive: or a name"
                )
            return cls(STORE, "", text)
        path, _, name = rest.partition(":")
        if not path:
            raise UsageError(f"{text!r} names no file", hint=f"write {kind}:PATH or {kind}:PATH:NAME")
        return cls(kind, path, name)


class Remote:
    """A repository of a registry as a `img.images.provider.Provider`."""

    def __init__(self, host: Host, reference: Reference) -> None:
        self.where = str(reference.registry)
        self._source = host.load("source", "docker-image")
        self._reference = reference

    @property
    def origin(self) -> Mapping[str, str]:
        """Where its layers are, as the store notes it."""
        return {"scheme": "docker-image", "ref": str(self._reference)}

    def resolve(self) -> Descriptor:
        """What the name stands for now. Raises `RegistryError`."""
        media_type, data = self._source.document(str(self._reference))
        return Descriptor(media_type, sha256(data), len(data))

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        if descriptor.media_type in (*INDEXES, *MANIFESTS):
            yield self._source.document(str(self._reference), descriptor.digest)[1]
            return
        with self._source.open_blob(self.origin, descriptor) as stream:
            while data := stream.read(1 << 20):
                yield data


@contextmanager
def opened(host: Host, text: str) -> Iterator[Found]:
    """The one image that `text` names, where it is. Raises `UsageError`, `ImgError` if there is none or several."""
    place = Place.parse(text)
    if place.kind == STORE:
        yield find(host, place.name)
    elif place.kind == REGISTRY:
        reference = Reference.parse(place.name)
        remote = Remote(host, reference)
        yield Found(remote, Named(remote.resolve(), (reference,)))
    elif place.kind == FOLDER:
        layout = Layout(Path(place.path))
        yield Found(layout, _chosen(layout, layout.images(), place))
    else:
        folder = host.store.scratch()
        try:
            archive = open_archive(Path(place.path), place.path, folder)
            yield Found(Backed(host, archive), _chosen(archive, images_of(host, archive), place))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _chosen(provider: Provider, images: list[Named], place: Place) -> Named:
    """The image of that name, or the only one."""
    if place.name:
        images = [image for image in images if _called(image, place.name)]
    if len(images) == 1:
        return images[0]
    if not images:
        raise ImgError(f"{provider.where} has no image {place.name}".rstrip(), hint="look into its index.json")
    names = ", ".join(name.familiar for image in images for name in image.names)
    raise UsageError(f"{provider.where} has {len(images)} images", hint=f"name one: {names or 'by its digest'}")


def _called(image: Named, text: str) -> bool:
    if text == image.descriptor.digest or text in image.words or text in {name.tag for name in image.names}:
        return True
    try:
        return str(Reference.parse(text)) in map(str, image.names)
    except UsageError:
        return False
