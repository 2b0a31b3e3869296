"""``type=containerd``: into containerd's content store, under one or more names. Attributes, beside those of every image:
``namespace``, ``address``, ``unpack`` and ``snapshotter``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from img.errors import BackendError, UsageError
from img.oci.closure import closure, is_index
from img.oci.mutate import Image
from img.oci.platform import Platform, host_platform, runs
from img.oci.reference import Reference
from img.oci.spec import Descriptor, Index, Manifest
from img.ports import Export, Exported, Host
from img_plugins.backends.containerd.reach import Reached, address_of, connect, reach
from img_plugins.exporters.assembled import facts, names_of, store_all
from img_plugins.exporters.forms import IMAGE, check_attrs, flag
from img_plugins.registry.side_by_side import side_by_side

if TYPE_CHECKING:
    from img_plugins.backends.containerd.client import Containerd
    from img_plugins.exporters.containerd.blobs import Ingest

NAMESPACE = "default"
"""Where ``ctr`` and ``nerdctl`` look; a kubelet looks in ``k8s.io``."""
SNAPSHOTTER = "overlayfs"
REF = "containerd.io/gc.ref.content"


class ContainerdExporter:
    """See `img.ports.Exporter`. Blobs go first, each document after what it names, with the labels by which containerd's
    collector finds that; names come last. Until then a lease holds it all."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns the names and the digest."""
        check_attrs(attrs, "containerd", (*IMAGE, "namespace", "address", "unpack", "snapshotter"))
        names, unpack = names_of(attrs), flag(attrs, "unpack")
        if not names:
            raise UsageError("type=containerd needs a name", hint="add name=… or -t")
        if "snapshotter" in attrs and not unpack:
            raise UsageError("snapshotter=… is for unpack=true only", hint="add unpack=true")
        address = address_of(self._host.settings, attrs.get("address", ""))
        reached = reach(address)
        if not isinstance(reached, Reached):
            raise BackendError(f"containerd can't take the image: {reached.reason}", hint=reached.remedy)
        namespace = attrs.get("namespace") or NAMESPACE
        descriptor, images = store_all(self._host, exports, attrs)
        unpacked = _to_unpack(exports, images) if unpack else None
        client = connect(address, namespace)
        try:
            self._put(client, names, descriptor, unpacked, attrs.get("snapshotter") or SNAPSHOTTER)
        finally:
            client.close()
        shown = ", ".join(name.familiar for name in names)
        line = f"{shown} {descriptor.digest} in containerd, namespace {namespace}"
        return Exported(line, facts(descriptor, images, names))

    def _put(
        self,
        client: Containerd,
        names: Sequence[Reference],
        descriptor: Descriptor,
        unpacked: Image | None,
        snapshotter: str,
    ) -> None:
        from img_plugins.backends.containerd.client import Refusal
        from img_plugins.backends.containerd.owner import mark, sweep_leases
        from img_plugins.backends.containerd.task import OWNER
        from img_plugins.exporters.containerd.blobs import Ingest, told
        from img_plugins.exporters.containerd.unpacking import Unpacking

        try:
            with client.lease(f"img-{os.urandom(8).hex()}", **{OWNER: mark(os.getpid())}) as lease:
                ingest = Ingest(self._host, client, lease)
                self._content(ingest, descriptor)
                if unpacked is not None:
                    label = Unpacking(self._host, client, lease, snapshotter).image(unpacked)
                    ingest.label(unpacked.config_descriptor.digest, label)
                for name in names:
                    _name(client, str(name), descriptor)
                sweep_leases(client)  # not before: what they hold may have been of use
        except Refusal as refusal:
            raise told(client.address, refusal) from refusal

    def _content(self, ingest: Ingest, descriptor: Descriptor) -> None:
        """Every blob of the image: layers and configurations side by side, then the documents, bottom up."""
        blobs = self._host.store.blobs
        parts = [part for part in closure(descriptor, lambda one: blobs.read(one.digest)) if not part.urls]
        documents = [part for part in parts if _names_others(part)]
        side_by_side(lambda part: ingest.blob(part, {}), [part for part in parts if not _names_others(part)])
        for part in documents:
            ingest.blob(part, references(part, blobs.read(part.digest)))


def _names_others(part: Descriptor) -> bool:
    return is_index(part) or "manifest" in part.media_type


def references(part: Descriptor, data: bytes) -> dict[str, str]:
    """The labels of a manifest or index for what it names: without them containerd's collector would take it."""
    if is_index(part):
        inner = Index.parse(data, part.media_type).manifests
        return {f"{REF}.m.{number}": one.digest for number, one in enumerate(inner)}
    manifest = Manifest.parse(data, part.media_type)
    layers = {f"{REF}.l.{number}": one.digest for number, one in enumerate(manifest.layers)}
    return {f"{REF}.config": manifest.config.digest, **layers}


def _to_unpack(exports: Sequence[Export], images: Sequence[Image]) -> Image:
    """The image that this machine can start, or the only one. Raises `UsageError`."""
    if len(images) == 1:
        return images[0]
    found = [
        (rank, image)
        for export, image in zip(exports, images, strict=True)
        if (rank := runs(host_platform(), Platform.parse(export.target.platform))) is not None
    ]
    if not found:
        raise UsageError(f"unpack=true: the build has no image for {host_platform()}", hint="leave out unpack=true")
    return min(found, key=lambda pair: pair[0])[1]


def _name(client: Containerd, name: str, descriptor: Descriptor) -> None:
    """Let `name` stand for the image, whatever it stood for before."""
    from img_plugins.backends.containerd.client import Refusal

    target = {
        "media_type": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        "annotations": dict(descriptor.annotations),
    }
    image = {"name": name, "target": target}
    try:
        client.call("Images.Create", image=image)
    except Refusal as refusal:
        if refusal.code != "ALREADY_EXISTS":
            raise
        client.call("Images.Update", image=image, update_mask={"paths": ["target"]})
