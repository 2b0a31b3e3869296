"""OCI image layouts (image-layout.md) and docker's archive, as ``docker save`` writes it now: a layout with a
``manifest.json`` beside it. As a tar or as a folder. What is written appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from img.errors import LayerError, StoreError
from img.files.entry import Entry
from img.oci.closure import OneImage
from img.oci.mutate import encode
from img.oci.reference import Reference
from img.oci.spec import MAX_DOCUMENT, OCI_INDEX, Descriptor, Index, diff_ids, parse_object
from img.oci.tar import TarWriter

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"

Chunks = Callable[[Descriptor], Iterable[bytes]]
"""Opens a blob; its bytes are verified by whoever opened it."""


class Named(NamedTuple):
    """An image of a layout with the names it goes by there."""

    descriptor: Descriptor
    names: tuple[Reference, ...] = ()
    words: tuple[str, ...] = ()
    """What its entries say as ``ref.name`` without being a whole name: tags."""


def index_entries(image: Named) -> list[dict[str, object]]:
    """What ``index.json`` says of an image: an entry for each name, or one without."""
    document = image.descriptor.to_json()
    if not image.names and not image.words:
        return [document]
    notes = dict(image.descriptor.annotations)
    said = [{IMAGE_NAME: str(name), REF_NAME: name.tag or str(name)} for name in image.names]
    said += [{REF_NAME: word} for word in image.words]
    return [{**document, "annotations": {**notes, **names}} for names in said]


def index_json(images: Sequence[Named], before: Sequence[Mapping[str, object]] = ()) -> bytes:
    """``index.json`` with `images`, after those entries of `before` whose names they do not take."""
    new = [entry for image in images for entry in index_entries(image)]
    taken = {_names(entry) for entry in new}
    kept = [dict(entry) for entry in before if _names(entry) not in taken]
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*kept, *new]})


def _names(entry: Mapping[str, object]) -> tuple[object, ...]:
    """What an entry is known by: its names, or its digest if it has none."""
    notes = entry.get("annotations")
    found = notes if isinstance(notes, dict) else {}
    names = (found.get(IMAGE_NAME), found.get(REF_NAME))
    return names if any(names) else (entry.get("digest"),)


def manifest_json(images: Sequence[tuple[OneImage, Sequence[Reference]]]) -> bytes:
    """Docker's ``manifest.json``: paths of configuration and layers for each image (docker image specification 1.2)."""
    rows = []
    for image, names in images:
        layers = image.manifest.layers
        rows.append(
            {
                "Config": blob_path(image.manifest.config.digest),
                "RepoTags": [name.familiar for name in names if name.tag],
                "Layers": [blob_path(layer.digest) for layer in layers],
                "LayerSources": {id: layer.to_json() for id, layer in zip(diff_ids(image.config), layers, strict=True)},
            }
        )
    return encode(rows)


def blob_path(digest: str) -> str:
    """Where a layout has a blob."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def write_tar(
    write: Callable[[bytes], object], documents: Mapping[str, bytes], blobs: Iterable[Descriptor], chunks: Chunks
) -> None:
    """A layout as a tar: the same contents give the same bytes."""
    writer = TarWriter(write)
    for folder in ("blobs", "blobs/sha256"):
        writer.add(Entry(folder, "dir", 0o755))
    for blob in sorted(blobs, key=lambda blob: blob.digest):
        writer.add(Entry(blob_path(blob.digest), "file", 0o644, size=blob.size), chunks(blob))
    for name, data in sorted({**documents, "oci-layout": LAYOUT}.items()):
        writer.add(Entry(name, "file", 0o644, size=len(data)), [data])
    writer.close()


def write_folder(
    root: Path,
    images: Sequence[Named],
    blobs: Iterable[Descriptor],
    chunks: Chunks,
    documents: Mapping[str, bytes] | None = None,
) -> None:
    """Add `images` to the layout in `root`, which is made if it is not there; images of other names stay. Blobs first,
    ``index.json`` last. On an error what was added is taken away. Raises `StoreError`, `LayerError`."""
    before = read_index(root) if (root / "index.json").exists() else []
    added: list[Path] = []
    try:
        folder = root / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        for blob in blobs:
            path = folder / blob.digest[7:]
            if not path.is_file() or path.stat().st_size != blob.size:
                added.append(path)
                write_whole(path, chunks(blob))
        for name, data in (documents or {}).items():
            write_whole(root / name, [data])
        write_whole(root / "oci-layout", [LAYOUT])
        write_whole(root / "index.json", [index_json(images, before)])
    except BaseException as error:
        for path in added:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(
                f"can't write {root}: {error.strerror}", hint="check the folder, its mode and its disk"
            ) from error
        raise


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """A file that is there with all its bytes or not at all. Raises `OSError`, and what `chunks` raises."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as out:
            for data in chunks:
                out.write(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# --- reading -------------------------------------------------------------------------------------------------------


def read_index(root: Path) -> list[dict[str, object]]:
    """The entries of a layout's ``index.json`` as they stand. Raises `LayerError` for a folder that is no layout."""
    data = _small(root / "index.json")
    Index.parse(data)
    entries: list[dict[str, object]] = parse_object(data, "index.json")["manifests"]
    return entries


def named(entries: Iterable[Mapping[str, object]]) -> list[Named]:
    """The images that the entries of an ``index.json`` stand for, names gathered."""
    found: dict[str, Named] = {}
    for number, entry in enumerate(entries):
        descriptor = Descriptor.from_json(entry, f"index.manifests[{number}]")
        one = found.get(descriptor.digest) or Named(_bare(descriptor))
        name, word = name_of(descriptor), descriptor.annotations.get(REF_NAME)
        if name is not None and name not in one.names:
            one = one._replace(names=(*one.names, name))
        elif name is None and word and word not in one.words:
            one = one._replace(words=(*one.words, word))
        found[descriptor.digest] = one
    return list(found.values())


def name_of(descriptor: Descriptor) -> Reference | None:
    """The whole name that an index's entry carries: containerd's, or a ``ref.name`` that is more than a tag."""
    whole = descriptor.annotations.get(IMAGE_NAME) or ""
    short = descriptor.annotations.get(REF_NAME) or ""
    text = whole or (short if "/" in short or ":" in short else "")
    return Reference.parse(text) if text else None


def _bare(descriptor: Descriptor) -> Descriptor:
    """Without the annotations that say names: those are the layout's, not the image's."""
    notes = {key: value for key, value in descriptor.annotations.items() if key not in (IMAGE_NAME, REF_NAME)}
    return Descriptor(
        descriptor.media_type, descriptor.digest, descriptor.size, descriptor.platform, notes, descriptor.urls
    )


def file_chunks(root: Path, descriptor: Descriptor) -> Iterator[bytes]:
    """A blob of the layout in `root`, not verified. Raises `LayerError` if it is not there."""
    path = root / blob_path(descriptor.digest)
    if not path.is_file():
        raise LayerError(f"the layout {root} has no blob {descriptor.digest}", hint="the layout is not complete")
    with path.open("rb") as stream:
        while data := stream.read(1 << 20):
            yield data


def _small(path: Path) -> bytes:
    if not path.is_file():
        raise LayerError(f"{path.parent} is no OCI image layout: it has no {path.name}")
    with path.open("rb") as stream:
        data = stream.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise LayerError(f"{path} is larger than the {MAX_DOCUMENT} bytes allowed")
    return data
