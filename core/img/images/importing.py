"""``img import``: the tar of a root filesystem as an image of one layer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from img.errors import LayerError, UsageError
from img.ir.definition import Target
from img.ir.nodes import Source
from img.oci.compress import Hashing, decompressed, gzip_chunks
from img.oci.mutate import assemble
from img.oci.platform import Platform, host_platform
from img.oci.reference import Reference
from img.oci.retell import members, padding
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.oci.tar import BLOCK, header
from img.outputs import rfc3339
from img.ports import BaseImage, FrontendRequest, Host


def import_image(
    host: Host,
    tar: Iterable[bytes],
    name: str = "",
    changes: Sequence[str] = (),
    message: str = "",
    platform: str = "",
    epoch: int | None = None,
) -> Descriptor:
    """Store an image whose one layer is `tar`, compressed or not, under `name` (empty: none); returns its descriptor.

    `changes` are instructions of a Dockerfile that change the configuration only. The tar is told again in canonical form.
    Raises `LayerError` for a tar that is broken or leaves its root, `FrontendError` and `UsageError` for `changes`.
    """
    reference = Reference.parse(name) if name else None
    wanted = Platform.parse(platform) if platform else host_platform()
    target = _changed(host, changes, str(wanted))
    plain = Hashing(_retold(decompressed(tar)))
    digest, size = host.store.blobs.write(gzip_chunks(plain))
    layer = Descriptor(OCI_LAYER_GZIP, digest, size)
    now = rfc3339(time.time() if epoch is None else epoch)
    entry = {"created": now, "created_by": "img import", "comment": message}
    history = [{key: value for key, value in entry.items() if value}, *target.config.get("history", [])]
    config = {**target.config, "history": history}
    image = assemble(config, [layer], [plain.digest], (), epoch=now)
    for document in (image.config, image.manifest):
        host.store.blobs.put(document)
    host.store.layers.add_blob(plain.digest, layer)
    descriptor = Descriptor(image.descriptor.media_type, image.descriptor.digest, image.descriptor.size)
    if reference is not None:
        host.store.images.set(str(reference), descriptor)
    return descriptor


def _changed(host: Host, changes: Sequence[str], platform: str) -> Target:
    """What the Dockerfile frontend makes of the instructions on an empty base."""
    text = "\n".join(["FROM scratch", *changes]) + "\n"
    request = FrontendRequest("--change", text.encode(), platforms=(platform,), build_platform=platform)
    frontend = host.load("frontend", "dockerfile")
    target: Target = frontend.load(request, _Nothing()).targets[0]
    if target.layers:
        raise UsageError(
            "--change can only change the configuration", hint="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, …"
        )
    return target


class _Nothing:
    """The `Resolver` of a file that stands on nothing: no images, no files."""

    def image(self, ref: str, platform: str) -> BaseImage:
        raise UsageError("--change can't name images", hint="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, …")

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        return None

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        return None

    def modified(self, context: str) -> int | None:
        return None


def _retold(plain: Iterable[bytes]) -> Iterator[bytes]:
    """The tar in canonical form: names relative to the root, whole seconds, no owners' names."""
    count = 0
    for entry, content in members(plain):
        path = "/".join(part for part in entry.path.split("/") if part not in ("", "."))
        if ".." in path.split("/") or (entry.kind == "hardlink" and ".." in entry.link.split("/")):
            raise LayerError(f"the archive holds {entry.path!r}, which lies outside of it")
        if not path and entry.kind != "dir":
            continue
        count += 1
        link = (
            entry.link.lstrip("./") if entry.kind == "hardlink" and entry.link.startswith(("/", "./")) else entry.link
        )
        yield header(entry._replace(path=path, link=link))
        if entry.kind == "file":
            yield from content.chunks()
            yield padding(entry.size)
    if not count:
        raise LayerError("the archive is empty, or no tar", hint="give the tar of a root filesystem")
    yield bytes(2 * BLOCK)
