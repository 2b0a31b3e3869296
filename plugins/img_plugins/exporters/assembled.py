"""What exporters of images share: the layers' blobs and the documents, in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from img.digest import is_digest
from img.errors import UsageError
from img.ir.nodes import Source
from img.ir.walk import chain
from img.oci.mutate import Image, assemble, encode
from img.oci.reference import Reference
from img.oci.spec import DOCKER_INDEX, NONDISTRIBUTABLE, OCI_INDEX, Descriptor, Manifest
from img.outputs import rfc3339
from img.ports import Export, Host
from img.store.forms import LayerBlob
from img_plugins.exporters.annotations import Annotations
from img_plugins.exporters.forms import Form

THREADS = 4


def names_of(attrs: Mapping[str, str]) -> list[Reference]:
    """The image names of an output."""
    return [Reference.parse(name) for name in attrs.get("name", "").split(",") if name]


def store_image(host: Host, export: Export, form: Form, annotations: Annotations, remote: bool = False) -> Image:
    """Make every blob of one finished target and put its documents into the store. With `remote`, layers that are only
    where they came from stay there."""
    target = export.target
    blobs = _blobs(host, export, form, remote)
    described = [blob.descriptor if form.foreign else distributable(blob.descriptor) for blob in blobs]
    epoch = form.epoch_for(target)
    image = assemble(
        target.config,
        described,
        [blob.diff_id for blob in blobs],
        export.created,
        epoch="" if epoch is None else rfc3339(epoch),
        annotations=annotations.at("manifest", target.platform),
        docker_types=not form.oci,
    )
    host.store.blobs.put(image.config)
    host.store.blobs.put(image.manifest)
    return image


def distributable(layer: Descriptor) -> Descriptor:
    """A layer as one that every registry may have."""
    return replace(layer, media_type=NONDISTRIBUTABLE.get(layer.media_type, layer.media_type), urls=())


def _blobs(host: Host, export: Export, form: Form, remote: bool) -> list[LayerBlob]:
    """The blob of each layer. Those that have to be made are made side by side."""
    layers = host.store.layers
    own = form.packing_for(export.target)
    there = [(remote and layers.promised(group)) or layers.known(group) for group in export.groups]
    for number, kept in enumerate(_of_base(host, export)):
        if host.store.blobs.has(kept.descriptor.digest):
            there[number] = kept

    def blob(number: int) -> LayerBlob:
        group = export.groups[number]
        if number >= export.target.base_layers and own is not None:
            return host.store.variants.blob(group, own)
        found = there[number]
        if number < export.target.base_layers and form.force:
            return _forced(host, group, found or layers.blob(group), form)
        return found or layers.blob(group)

    if own is None and all(there):
        return list(map(blob, range(len(there))))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(THREADS, "layer") as pool:
        return list(pool.map(blob, range(len(there))))


def _of_base(host: Host, export: Export) -> list[LayerBlob]:
    """The base's layers as its own manifest has them: the store may know one of them by a blob of another compression."""
    first = chain(export.target.root)[0]
    digest = first.ref.rpartition("@")[2] if isinstance(first, Source) else ""
    if not is_digest(digest) or not host.store.blobs.has(digest):
        return []
    layers = Manifest.parse(host.store.blobs.read(digest)).layers
    count = export.target.base_layers
    if len(layers) != count:
        return []
    ids = [host.store.layers.get(group[0]) for group in export.groups[:count]]
    if None in ids:
        return []
    return [LayerBlob(d, row.diff_id) for d, row in zip(layers, ids, strict=True) if row is not None]


def _forced(host: Host, group: Sequence[str], found: LayerBlob, form: Form) -> LayerBlob:
    """A layer of the base in the compression that is forced. Its times stay: they are the base's."""
    packing = form.packing
    assert packing is not None
    from img.store.variants import DEFAULT, kind_of

    if kind_of(found.descriptor) == packing.kind and packing.level == DEFAULT.level:
        return found
    return host.store.variants.blob(group, packing)


def store_all(
    host: Host, exports: Sequence[Export], attrs: Mapping[str, str], remote: bool = False
) -> tuple[Descriptor, list[Image]]:
    """The images of all targets, and what stands for them: the one manifest, or an index of several. Annotations and the
    form come from `attrs`; `remote` as for `store_image`."""
    notes, form = Annotations.of(attrs), Form.of(attrs)
    for export in exports:
        form.packing_for(export.target)
    images = [store_image(host, export, form, notes, remote) for export in exports]
    described = [
        replace(image.descriptor, annotations=notes.at("manifest-descriptor", export.target.platform))
        for image, export in zip(images, exports, strict=True)
    ]
    if len(images) == 1:
        for place in ("index", "index-descriptor"):
            if notes.at(place):
                raise UsageError(f"there is no index to annotate with {place} annotations: the build has one platform")
        return replace(described[0], platform=None), images
    media_type = OCI_INDEX if form.oci else DOCKER_INDEX
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [one.to_json() for one in described],
    }
    if notes.at("index"):
        document["annotations"] = notes.at("index")
    data = encode(document, indent=2)
    return Descriptor(media_type, host.store.blobs.put(data), len(data), None, notes.at("index-descriptor")), images


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
