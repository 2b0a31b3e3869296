"""Images in the store, in registries and in files, for programs. Names of places are those of ``img copy``: a name of the
store, ``docker://NAME``, ``oci:FOLDER``, ``oci-archive:FILE``, ``docker-archive:FILE``.

Every call takes the arguments of `img.api.options.Place` (`root`, `settings`, `credentials`, `observers`) and raises
`img.ImgError`. They block; from an event loop, call them with `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Unpack

from img.api.options import Place, check_names
from img.api.place import open_session
from img.ir import checked
from img.oci.reference import Reference
from img.oci.spec import Descriptor
from img.session import Session


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image says of itself, for one platform."""

    name: str
    digest: str
    """Of the manifest."""
    image_id: str
    """Of the configuration."""
    platform: str
    layers: tuple[Descriptor, ...]
    config: Mapping[str, Any]
    """The OCI image configuration (config.md), as it is."""

    @property
    def size(self) -> int:
        """Bytes of the layers as they travel."""
        return sum(layer.size for layer in self.layers)

    @property
    def env(self) -> dict[str, str]:
        pairs = (text.partition("=") for text in self._settings.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def labels(self) -> dict[str, str]:
        return dict(self._settings.get("Labels") or {})

    @property
    def entrypoint(self) -> tuple[str, ...]:
        return tuple(self._settings.get("Entrypoint") or ())

    @property
    def cmd(self) -> tuple[str, ...]:
        return tuple(self._settings.get("Cmd") or ())

    @property
    def user(self) -> str:
        return str(self._settings.get("User") or "")

    @property
    def workdir(self) -> str:
        return str(self._settings.get("WorkingDir") or "/")

    @property
    def _settings(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.config.get("config") or {}
        return found

    def _repr_html_(self) -> str:
        """As Jupyter shows it."""
        from img.ir.page import table

        rows = [("platform", self.platform), ("digest", self.digest), ("size", f"{self.size} bytes")]
        rows += [("layer", f"{layer.digest} {layer.size}") for layer in self.layers]
        rows += [(key, str(value)) for key, value in sorted(self._settings.items())]
        return table(("image", self.name), rows)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A name of the store and what it stands for."""

    name: str
    digest: str
    media_type: str


def pull(name: str, *, platform: str | Sequence[str] = (), every: bool = False, **place: Unpack[Place]) -> str:
    """Pull an image into the store under its name; of an index the images for `platform` (default: this machine's) or
    `every` one. Returns the digest that the name stands for."""
    platforms = (platform,) if isinstance(platform, str) else checked.texts(platform, "platform")
    with _session(place) as session:
        return session.pull(checked.text(name, "the name"), platforms, every, place.get("observers", ())).digest


def push(name: str, **place: Unpack[Place]) -> str:
    """Push the stored image `name` to the registry that its name says; returns its digest there."""
    with _session(place) as session:
        return session.push(checked.text(name, "the name"), place.get("observers", ()))


def copy(source: str, dest: str, *, platform: str = "", every: bool = False, **place: Unpack[Place]) -> str:
    """Copy an image from one place to another, byte for byte; of an index the image for `platform` (default: this
    machine's), or with `every` the index as it is. Returns the digest of what `dest` now stands for."""
    from img.images.copy import copy as act

    with _session(place) as session, session.observed(place.get("observers", ())):
        names = checked.text(source, "the source"), checked.text(dest, "the destination")
        return act(session.engine, *names, platform, every).digest


def inspect(name: str, *, platform: str = "", **place: Unpack[Place]) -> ImageInfo:
    """What an image says of itself, wherever it is; its layers are not fetched."""
    from img.images.places import opened
    from img.oci.platform import Platform

    with _session(place) as session, opened(session.engine, checked.text(name, "the name")) as found:
        one = found.one(platform)
        manifest = one.manifest
        return ImageInfo(
            found.title,
            one.descriptor.digest,
            manifest.config.digest,
            str(Platform.of(one.config)),
            tuple(manifest.layers),
            one.config,
        )


def tag(source: str, name: str, **place: Unpack[Place]) -> str:
    """Give a stored image another name as well; returns it whole."""
    from img.images.names import tag as act

    with _session(place) as session:
        return act(session.engine, checked.text(source, "the source"), checked.text(name, "the name"))


def remove(*names: str, **place: Unpack[Place]) -> tuple[str, ...]:
    """Take names out of the store (`img prune` frees the room); returns them whole."""
    from img.images.names import remove as act

    with _session(place) as session:
        return tuple(act(session.engine, checked.texts(names, "names")))


def stored(**place: Unpack[Place]) -> tuple[StoredImage, ...]:
    """The images in the store, by name."""
    with _session(place) as session:
        return tuple(
            StoredImage(Reference.parse(one.name).familiar, one.descriptor.digest, one.descriptor.media_type)
            for one in session.store.images.list()
        )


@contextmanager
def _session(place: Place) -> Iterator[Session]:
    check_names(place, Place)
    with open_session(place) as session:
        yield session
