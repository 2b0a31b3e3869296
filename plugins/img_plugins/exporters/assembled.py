"""What exporters of images share: the layers' blobs and the documents, in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from img.errors import UsageError
from img.oci.mutate import Image, assemble, encode
from img.oci.reference import Reference
from img.oci.spec import OCI_INDEX, Descriptor
from img.outputs import rfc3339
from img.ports import Export, Host
from img.store.layers import LayerBlob
from img_plugins.exporters.annotations import Annotations, is_annotation

THREADS = 4


def check_attrs(attrs: Mapping[str, str], kind: str, known: Sequence[str]) -> None:
    """Raises `UsageError` for an attribute that the exporter `kind` does not know."""
    images = "name" in known
    for name in attrs:
        if name not in known and not (images and is_annotation(name)):
            raise UsageError(
                f"--output type={kind} has no attribute {name!r}", hint=f"it has: {', '.join(known) or 'none'}"
            )


def names_of(attrs: Mapping[str, str]) -> list[Reference]:
    """The image names of an output."""
    return [Reference.parse(name) for name in attrs.get("name", "").split(",") if name]


def store_image(host: Host, export: Export, annotations: Annotations, remote: bool = False) -> Image:
    """Make every blob of one finished target and put its documents into the store. With `remote`, layers that are only
    where they came from stay there."""
    target = export.target
    blobs = _blobs(host, export, remote)
    image = assemble(
        target.config,
        [blob.descriptor for blob in blobs],
        [blob.diff_id for blob in blobs],
        export.created,
        epoch="" if target.epoch is None else rfc3339(target.epoch),
        annotations=annotations.at("manifest", target.platform),
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


def store_all(
    host: Host, exports: Sequence[Export], attrs: Mapping[str, str], remote: bool = False
) -> tuple[Descriptor, list[Image]]:
    """The images of all targets, and what stands for them: the one manifest, or an index of several. Annotations come
    from `attrs`; `remote` as for `store_image`."""
    notes = Annotations.of(attrs)
    images = [store_image(host, export, notes, remote) for export in exports]
    described = [
        replace(image.descriptor, annotations=notes.at("manifest-descriptor", export.target.platform))
        for image, export in zip(images, exports, strict=True)
    ]
    if len(images) == 1:
        for place in ("index", "index-descriptor"):
            if notes.at(place):
                raise UsageError(f"there is no index to annotate with {place} annotations: the build has one platform")
        return replace(described[0], platform=None), images
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [one.to_json() for one in described],
    }
    if notes.at("index"):
        document["annotations"] = notes.at("index")
    data = encode(document, indent=2)
    return Descriptor(OCI_INDEX, host.store.blobs.put(data), len(data), None, notes.at("index-descriptor")), images


def facts(descriptor: Descriptor, images: Sequence[Image], names: Sequence[Reference]) -> dict[str, object]:
    """What ``--metadata-file`` says of an image (see `img.ports.Exported`)."""
    found: dict[str, object] = {
        "containerimage.digest": descriptor.digest,
        "containerimage.descriptor": descriptor.to_json(),
    }
    if len(images) == 1:
        found["containerimage.config.digest"] = images[0].config_descriptor.digest
    if names:
        found["image.name"] = ",".join(map(str, names))
    return found
