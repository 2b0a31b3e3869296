"""``docker-image``: an image of a registry, or one that the store has under that name.

A tag is pinned once to a manifest digest; what comes after speaks of the digest only. The setting ``pull`` says when the
registry is asked: ``missing`` (the default: what the store knows is used), ``always``, ``never``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from img.errors import RegistryError
from img.ir.nodes import Source
from img.oci.platform import Platform, runs, select
from img.oci.reference import Reference
from img.oci.spec import INDEXES, Descriptor, Index, Manifest, parse_object
from img.ports import BaseImage, Host, Pin, Snapshot
from img_plugins.offline import is_offline
from img_plugins.sources import images


class DockerImageSource:
    """See `img.ports.ImageSource`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._resolved: dict[tuple[str, str], BaseImage] = {}

    def resolve(self, ref: str, platform: str) -> BaseImage:
        """Pin `ref` for `platform` and read its configuration. Asked once per session for each.

        Raises `UsageError` for a bad name, `RegistryError`, `LayerError` for documents that are wrong.
        """
        key = (ref, platform)
        if key not in self._resolved:
            self._resolved[key] = self._found(Reference.parse(ref), platform)
        return self._resolved[key]

    def _found(self, reference: Reference, platform: str) -> BaseImage:
        """What the store has, if it is for the platform; else what the registry has. An image of the store's that is for
        another platform is taken if there is no other."""
        stored = self._stored(reference, platform)
        fitting = next((image for image in stored if _serves(image, platform)), None)
        if fitting is not None:
            return fitting
        try:
            return self._remote(reference, platform)
        except RegistryError:
            if not stored:
                raise
            return stored[0]

    def pin(self, source: Source) -> Pin:
        """The manifest's digest, which the reference carries."""
        return Pin(Reference.parse(source.ref).digest, source.ref)

    def fetch(self, source: Source) -> Snapshot:
        """The image's layers, made known to the store; their bytes stay where they are."""
        reference = Reference.parse(source.ref)
        manifest, config = self._documents(reference)
        origin = {"scheme": "docker-image", "ref": str(reference)}
        return images.layers_of(self._host.store, manifest, config, origin, str(reference))

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """A layer's bytes from the registry it came from."""
        reference = Reference.parse(origin["ref"])
        return self._reader(reference).blob(descriptor, offset)  # type: ignore[no-any-return]

    def document(self, ref: str, digest: str = "") -> tuple[str, bytes]:
        """Media type and bytes of the manifest or index that a registry has under `ref`, or in its repository under
        `digest`. Raises `RegistryError`, `CorruptBlob`."""
        reference = Reference.parse(ref)
        found = self._reader(reference).manifest(digest or reference.target)
        return found.media_type, found.data

    # --- what the store knows -------------------------------------------------------------------------------

    def _stored(self, reference: Reference, platform: str) -> list[BaseImage]:
        """The image of that name, and the one that the name stood for when the registry was last asked."""
        if self._host.settings.get("pull") == "always" and not is_offline(self._host.settings):
            return []
        return self._named(reference, platform)

    def _named(self, reference: Reference, platform: str) -> list[BaseImage]:
        store = self._host.store
        known = store.images.get(str(reference))
        named = self._choose(known.digest, platform, reference) if known and store.blobs.has(known.digest) else None
        digests = (named, store.pins.get(_pin_key(reference, platform)))
        return [self._image(reference.at(digest), platform) for digest in digests if digest and store.blobs.has(digest)]

    def _choose(self, digest: str, platform: str, reference: Reference) -> str:
        """The manifest for `platform`, if `digest` is an index of the store's."""
        data = self._host.store.blobs.read(digest)
        document = parse_object(data, f"manifest of {reference}")
        if "manifests" not in document:
            return digest
        return select(Index.parse(data).manifests, Platform.parse(platform), reference.familiar).digest

    # --- what the registry knows ----------------------------------------------------------------------------

    def _remote(self, reference: Reference, platform: str) -> BaseImage:
        offline = is_offline(self._host.settings)
        if offline or self._host.settings.get("pull") == "never":
            flag = "--offline" if offline else "--pull=never"
            hint = f"bring it with img pull or img load, or leave out {flag}"
            raise RegistryError(f"the store has no {reference.familiar} for {platform}", hint=hint)
        reader = self._reader(reference)
        store = self._host.store
        document = self._document(reader, reference, platform)
        if document.media_type in INDEXES or b'"manifests"' in document.data[:4096]:
            chosen = select(Index.parse(document.data).manifests, Platform.parse(platform), reference.familiar)
            store.blobs.put(document.data)
            document = reader.inner(chosen.digest)
        manifest = Manifest.parse(document.data, document.media_type)
        if not store.blobs.has(manifest.config.digest):
            store.blobs.put(reader.small_blob(manifest.config))
        store.blobs.put(document.data)
        found = self._image(reference.at(document.digest), platform)
        store.pins.set(_pin_key(reference, platform), document.digest)
        return found

    def _document(self, reader: Any, reference: Reference, platform: str) -> Any:
        """What the registry has under the name. If the store has seen the name before, the registry is first asked for
        the digest only: most often it is still the same, and such questions are not counted against anybody's limit."""
        from img_plugins.registry.client import Document

        blobs = self._host.store.blobs
        digest = reference.digest
        if not digest and self._host.store.pins.get(_pin_key(reference, platform)):
            digest = reader.digest(reference.target)
        if digest and blobs.has(digest):
            data = blobs.read(digest)
            media_type = parse_object(data, f"manifest of {reference}").get("mediaType") or ""
            return Document(media_type, digest, data)
        return reader.manifest(digest or reference.target)

    def _reader(self, reference: Reference) -> Any:
        return self._host.load("registry", "distribution").reader(reference)

    # --- documents ------------------------------------------------------------------------------------------

    def _documents(self, reference: Reference) -> tuple[Manifest, dict[str, Any]]:
        return images.documents(self._host.store, reference.digest, str(reference))

    def _image(self, reference: Reference, platform: str) -> BaseImage:
        manifest, config = self._documents(reference)
        images.checked(config, reference.familiar)
        source = Source("docker-image", str(reference), (("platform", platform),))
        return BaseImage(source, config, len(manifest.layers))


class StoredImageSource(DockerImageSource):
    """``stored``: what the store has under a name. No registry is asked for it, whatever ``pull`` says."""

    def _found(self, reference: Reference, platform: str) -> BaseImage:
        found = self._named(reference, platform)
        if not found:
            raise RegistryError(f"the store has no {reference.familiar}", hint="img ls shows what there is")
        return next((image for image in found if _serves(image, platform)), found[0])


def _serves(image: BaseImage, platform: str) -> bool:
    found = Platform.of(image.config)
    return not found.architecture or runs(Platform.parse(platform), found) is not None


def _pin_key(reference: Reference, platform: str) -> str:
    return f"{reference} {platform}"
