"""What exporters of images share: the layers' blobs and the documents, in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.oci.mutate import Image, assemble, encode
from img.oci.reference import Reference
from img.oci.spec import OCI_INDEX, Descriptor
from img.ports import Export, Host
from img.store.layers import LayerBlob

THREADS = 4


def check_attrs(attrs: Mapping[str, str], kind: str, known: Sequence[str]) -> None:
    """Raises `UsageError` for an attribute that the exporter `kind` does not know."""
    for name in attrs:
        if name not in known:
            raise UsageError(
                f"--output type={kind} has no attribute {name!r}", hint=f"it has: {', '.join(known) or 'none'}"
            )


def names_of(attrs: Mapping[str, str]) -> list[Reference]:
    """The image names of an output."""
    return [Reference.parse(name) for name in attrs.get("name", "").split(",") if name]


def store_image(host: Host, export: Export, remote: bool = False) -> Image:
    """Make every blob of one finished target and put its documents into the store. With `remote`, layers that are only
    where they came from stay there."""
    blobs = _blobs(host, export, remote)
    image = assemble(
        export.target.config, [blob.descriptor for blob in blobs], [blob.diff_id for blob in blobs], export.created
    )
    host.store.blobs.put(image.config)
    host.store.blobs.put(image.manifest)
    return image


def _blobs(host: Host, export: Export, remote: bool) -> list[LayerBlob]:
    """The blob of each layer. Those that have to be made are made side by side."""
    layers = host.store.layers

    def blob(group: tuple[str, ...]) -> LayerBlob:
        return (remote and layers.promised(group)) or layers.blob(group)

    if all(map(layers.has_blob, export.groups)):
        return [blob(group) for group in export.groups]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(THREADS, "layer") as pool:
        return list(pool.map(blob, export.groups))


def store_all(host: Host, exports: Sequence[Export], remote: bool = False) -> tuple[Descriptor, list[Image]]:
    """The images of all targets, and what stands for them: the one manifest, or an index of several."""
    images = [store_image(host, export, remote) for export in exports]
    if len(images) == 1:
        descriptor = images[0].descriptor
        return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size), images
    manifests = [image.descriptor.to_json() for image in images]
    data = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, indent=2)
    return Descriptor(OCI_INDEX, host.store.blobs.put(data), len(data)), images
