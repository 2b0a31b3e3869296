"""Things to test with, made in a few lines: contexts, tars, small images, finished targets."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from img.digest import sha256
from img.ir.definition import Definition
from img.ir.state import State, local, scratch
from img.oci.mutate import assemble
from img.oci.platform import host_platform
from img.oci.reference import Reference
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.outputs import finished
from img.plan import Answers
from img.ports import Export
from img.request import Options
from img.session import Session

FILES: Mapping[str, str | bytes] = {
    "hello.txt": "hello\n",
    "bin/run": "#!/bin/sh\necho run\n",
    "data/zero": bytes(1000),
}
"""Some files, if it does not matter which."""


def context(folder: Path, files: Mapping[str, str | bytes] = FILES) -> Path:
    """Write `files` (path → text or bytes) below `folder`, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(0o644)
    return folder


def tar(files: Mapping[str, str | bytes] = FILES) -> bytes:
    """A tar of `files` in the order of their names, at the epoch, owned by root: the same files are the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(files.items()):
            content = data.encode() if isinstance(data, str) else data
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def state(folder: Path, files: Mapping[str, str | bytes] = FILES) -> State:
    """A State with `files`, which are written below `folder`."""
    return scratch().copy(local(context(folder, files), ignore=[]), to="/").cmd(["/bin/run"])


def exports(session: Session, made: State, platforms: Sequence[str] = (), epoch: int | None = 0) -> list[Export]:
    """Build `made`, and return its targets as exporters get them."""
    names = tuple(platforms) or (str(host_platform()),)
    contexts = {name: Path(path) for name, path in made.contexts.items()}
    known: list[Definition] = []

    def make() -> Definition:
        known.append(made.definition(Answers(session.engine), *names, epoch=epoch))
        return known[0]

    snapshots = session.build_made(make, Options(), contexts).snapshots
    return [finished(session.engine, t, s) for t, s in zip(known[0].targets, snapshots, strict=True)]


def stored(session: Session, name: str, files: Mapping[str, str | bytes] = FILES) -> Descriptor:
    """An image of one layer with `files`, in the store under `name`. Nothing is built."""
    import gzip

    layer = tar(files)
    blob = gzip.compress(layer, mtime=0)
    platform = host_platform()
    config: dict[str, object] = {"architecture": platform.architecture, "os": platform.os, "config": {}, "history": []}
    config["history"] = [{"created_by": "img.testing"}]
    described = Descriptor(OCI_LAYER_GZIP, sha256(blob), len(blob))
    image = assemble(config, [described], [sha256(layer)], ["1970-01-01T00:00:00Z"])
    for data in (blob, image.config, image.manifest):
        session.store.blobs.put(data)
    session.store.images.set(str(Reference.parse(name)), image.descriptor)
    return image.descriptor
