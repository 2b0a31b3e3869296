"""``type=oci``: an OCI image layout (image-layout.md). Attributes: ``dest``, ``tar`` (true, or false for a folder),
``name``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from img.errors import StoreError, UsageError
from img.files.entry import Entry
from img.oci.mutate import Image, encode
from img.oci.reference import Reference
from img.oci.spec import OCI_INDEX, Descriptor
from img.oci.tar import TarWriter
from img.ports import Export, Exported, Host
from img_plugins.exporters.assembled import check_attrs, facts, names_of, store_all
from img_plugins.exporters.places import whole_file

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class OciExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns where it is."""
        check_attrs(attrs, "oci", ("dest", "tar", "name"))
        dest, tar = attrs.get("dest", ""), attrs.get("tar", "true")
        if tar not in ("true", "false"):
            raise UsageError(f"tar={tar} is neither true nor false")
        names = names_of(attrs)
        descriptor, images = store_all(self._host, exports, attrs)
        index = encode(_index(descriptor, names))
        if tar == "true":
            with whole_file(dest, "oci") as write:
                self._write_tar(TarWriter(write), index, _blobs(descriptor, images))
        else:
            self._write_folder(dest, index, _blobs(descriptor, images))
        return Exported(f"{dest} {descriptor.digest}", facts(descriptor, images, names))

    def _write_tar(self, writer: TarWriter, index: bytes, blobs: Iterable[Descriptor]) -> None:
        for folder in ("blobs", "blobs/sha256"):
            writer.add(Entry(folder, "dir", 0o755))
        for blob in sorted(blobs, key=lambda blob: blob.digest):
            entry = Entry(f"blobs/sha256/{blob.digest[7:]}", "file", 0o644, size=blob.size)
            writer.add(entry, self._host.store.blobs.chunks(blob.digest))
        for name, data in (("index.json", index), ("oci-layout", LAYOUT)):
            writer.add(Entry(name, "file", 0o644, size=len(data)), [data])
        writer.close()

    def _write_folder(self, dest: str, index: bytes, blobs: Iterable[Descriptor]) -> None:
        """Blobs first, ``index.json`` last; a layout that is there gets the image added to its blobs."""
        if not dest:
            raise UsageError("--output type=oci,tar=false needs dest=…")
        root = Path(dest)
        try:
            folder = root / "blobs" / "sha256"
            folder.mkdir(parents=True, exist_ok=True)
            for blob in blobs:
                _write_whole(folder / blob.digest[7:], self._host.store.blobs.chunks(blob.digest))
            _write_whole(root / "oci-layout", [LAYOUT])
            _write_whole(root / "index.json", [index])
        except OSError as error:
            raise StoreError(
                f"can't write {dest}: {error.strerror}", hint="check the folder, its mode and disk"
            ) from error


def _write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as out:
            for data in chunks:
                out.write(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _blobs(descriptor: Descriptor, images: Sequence[Image]) -> Iterator[Descriptor]:
    """Every blob of the images, once."""
    seen: set[str] = set()
    for blob in (descriptor, *(d for i in images for d in (i.descriptor, i.config_descriptor, *i.layers))):
        if blob.digest not in seen:
            seen.add(blob.digest)
            yield blob


def _index(descriptor: Descriptor, names: Sequence[Reference]) -> dict[str, object]:
    manifests = []
    chosen: Sequence[Reference | None] = names or [None]
    for name in chosen:
        document = descriptor.to_json()
        if name is not None:
            document["annotations"] = {
                "io.containerd.image.name": str(name),
                "org.opencontainers.image.ref.name": name.tag,
            }
        manifests.append(document)
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
