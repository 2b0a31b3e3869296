"""From one place to another, byte for byte, and out of the store into archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from img.errors import UsageError
from img.images import places
from img.images.places import Place, opened
from img.images.provider import Found, verified
from img.images.stored import find, ingest, set_names
from img.oci.closure import OneImage, closure
from img.oci.layout import Named, index_json, manifest_json, write_folder, write_tar
from img.oci.reference import Reference
from img.oci.spec import Descriptor
from img.ports import Host
from img.whole import whole_file

Write = Callable[[bytes], object]
FORMATS = ("docker", "oci")


def copy(host: Host, source: str, dest: str, platform: str = "", every: bool = False) -> Descriptor:
    """Copy the image that `source` names to `dest` (`img.images.places`); returns what `dest` now stands for.

    Of an index, the image for `platform` (empty: this machine's) is copied, with `every` the index as it is. Documents and
    blobs stay what they are. Raises `UsageError`, `RegistryError`, `LayerError`, `StoreError`.
    """
    to = Place.parse(dest)
    with opened(host, source) as found:
        descriptor = found.descriptor if every else found.one(platform).descriptor
        if to.kind in (places.STORE, places.REGISTRY):
            reference = Reference.parse(to.name)
            ingest(host, found, descriptor, _origin(found) if to.kind == places.REGISTRY else None)
            if to.kind == places.STORE:
                set_names(host, [reference], descriptor)
            else:
                host.load("exporter", "registry").push(str(reference), descriptor)
            return descriptor
        image = _named_for(to, found, descriptor)
        if to.kind == places.FOLDER:
            parts = closure(descriptor, found.read)
            write_folder(Path(to.path), [image], parts, lambda part: _chunks(found, part))
        else:
            archive = [found._replace(image=image)]
            form = "oci" if to.kind == places.OCI_ARCHIVE else "docker"
            with whole_file(to.path) as write:
                write_archive(write, archive, form, platform)
        return descriptor


def _origin(found: Found) -> Mapping[str, str] | None:
    """Where the layers are if that is a registry: from one to another they are mounted or streamed, and not kept."""
    return found.provider.origin if isinstance(found.provider, places.Remote) else None


def _named_for(to: Place, found: Found, descriptor: Descriptor) -> Named:
    """The image with the name that a layout or archive is to have for it."""
    if not to.name:
        return Named(descriptor, found.image.names, found.image.words)
    if to.kind != places.DOCKER_ARCHIVE and "/" not in to.name and ":" not in to.name:
        return Named(descriptor, (), (to.name,))
    return Named(descriptor, (Reference.parse(to.name),))


def save(host: Host, names: Sequence[str], form: str, write: Write, platform: str = "") -> None:
    """Write stored images as one archive to `write`. `form` is ``docker``, which holds one platform of each, or ``oci``,
    which holds them as they are unless `platform` chooses. Raises `UsageError` before anything is written."""
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    gathered: dict[str, Found] = {}
    for text in names:
        found = find(host, text)
        known = gathered.get(found.descriptor.digest)
        if known is not None:
            extra = tuple(name for name in found.image.names if name not in known.image.names)
            found = known._replace(image=known.image._replace(names=(*known.image.names, *extra)))
        gathered[found.descriptor.digest] = found
    write_archive(write, list(gathered.values()), form, platform)


def write_archive(write: Write, found: Sequence[Found], form: str, platform: str = "") -> None:
    """Images as one archive. Everything is looked up before the first byte is written."""
    chosen: list[tuple[Found, Descriptor]] = []
    rows: list[tuple[OneImage, Sequence[Reference]]] = []
    for one in found:
        if form == "docker" or platform:
            image = one.one(platform)
            rows.append((image, one.image.names))
            chosen.append((one, image.descriptor))
        else:
            chosen.append((one, one.descriptor))
    owners: dict[str, Found] = {}
    parts: dict[str, Descriptor] = {}
    for one, descriptor in chosen:
        for part in closure(descriptor, one.read):
            parts.setdefault(part.digest, part)
            owners.setdefault(part.digest, one)
    documents = {"index.json": index_json([one.image._replace(descriptor=d) for one, d in chosen])}
    if form == "docker":
        documents["manifest.json"] = manifest_json(rows)
    write_tar(write, documents, parts.values(), lambda part: _chunks(owners[part.digest], part))


def _chunks(found: Found, part: Descriptor) -> Iterator[bytes]:
    return verified(found.provider.chunks(part), part, found.provider.where)
