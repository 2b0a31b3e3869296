"""``type=oci`` and ``type=docker``: an OCI image layout (image-layout.md), for docker with the ``manifest.json`` that
``docker load`` reads. Attributes, beside those of every image: ``dest``, ``tar`` (true, or false for a folder)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from img.errors import UsageError
from img.oci.closure import OneImage, closure
from img.oci.layout import Named, index_json, manifest_json, write_folder, write_tar
from img.oci.mutate import Image
from img.oci.reference import Reference
from img.oci.spec import Descriptor, Manifest, parse_object
from img.ports import Export, Exported, Host
from img_plugins.exporters.assembled import facts, names_of, store_all
from img_plugins.exporters.forms import IMAGE, check_attrs, flag
from img_plugins.exporters.places import whole_file

KNOWN = (*IMAGE, "dest", "tar")


class OciExporter:
    """See `img.ports.Exporter`."""

    kind = "oci"

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns where it is."""
        check_attrs(attrs, self.kind, KNOWN)
        dest, tar, names = attrs.get("dest", ""), flag(attrs, "tar", True), names_of(attrs)
        if not tar and dest in ("", "-"):
            raise UsageError(f"--output type={self.kind},tar=false needs dest=FOLDER")
        self._check(exports)
        typed = attrs if self.kind == "docker" else {"oci-mediatypes": "true", **attrs}
        descriptor, images = store_all(self._host, exports, typed)
        blobs = self._host.store.blobs

        def chunks(blob: Descriptor) -> Iterator[bytes]:
            return blobs.chunks(blob.digest)

        parts = list(closure(descriptor, lambda one: blobs.read(one.digest)))
        named = Named(descriptor, tuple(names))
        documents = self._documents(images, names)
        if tar:
            with whole_file(dest, self.kind) as write:
                write_tar(write, {"index.json": index_json([named]), **documents}, parts, chunks)
        else:
            write_folder(Path(dest), [named], parts, chunks, documents)
        return Exported(f"{dest} {descriptor.digest}", facts(descriptor, images, names))

    def _check(self, exports: Sequence[Export]) -> None:
        """Raises `UsageError` for targets that the format can't hold."""

    def _documents(self, images: Sequence[Image], names: Sequence[Reference]) -> dict[str, bytes]:
        """Files beside the layout's own."""
        return {}


class DockerExporter(OciExporter):
    """See `img.ports.Exporter`."""

    kind = "docker"

    def _check(self, exports: Sequence[Export]) -> None:
        if len(exports) != 1:
            raise UsageError("type=docker takes one platform: manifest.json has no room for more", hint="use type=oci")

    def _documents(self, images: Sequence[Image], names: Sequence[Reference]) -> dict[str, bytes]:
        (image,) = images
        one = OneImage(image.descriptor, Manifest.parse(image.manifest), parse_object(image.config, "configuration"))
        return {"manifest.json": manifest_json([(one, names)])}
