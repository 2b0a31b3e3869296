"""``type=image``: into the store, under one or more names, and to registries. Attributes, beside those of every image:
``push``, ``push-by-digest``, ``registry.insecure``, ``unpack``, ``store``, ``name-canonical``, ``dangling-name-prefix`` and
``dangling-name-empty-only`` (BuildKit's own spelling, ``danging-name-empty-only``, is taken too)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.oci.reference import Reference
from img.oci.spec import Descriptor
from img.ports import Export, Exported, Host
from img_plugins.exporters.assembled import facts, names_of, store_all
from img_plugins.exporters.forms import IMAGE, check_attrs, flag

KNOWN = (
    *IMAGE,
    "push",
    "push-by-digest",
    "registry.insecure",
    "unpack",
    "store",
    "name-canonical",
    "dangling-name-prefix",
    "dangling-name-empty-only",
    "danging-name-empty-only",
)


class ImageExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns the names and the digest."""
        check_attrs(attrs, "image", KNOWN)
        names = names_of(attrs)
        by_digest = flag(attrs, "push-by-digest")
        push, keep = flag(attrs, "push") or by_digest, flag(attrs, "store", True)
        if push and not names:
            raise UsageError("type=image,push=true needs a name", hint="add name=… or -t")
        if not keep and flag(attrs, "unpack"):
            raise UsageError("unpack=true needs the store", hint="leave out store=false")
        descriptor, images = store_all(self._host, exports, attrs, remote=not keep)
        if flag(attrs, "unpack"):
            for export in exports:
                self._host.store.layers.trees(export.snapshot)
        if push:
            exporter, insecure = self._host.load("exporter", "registry"), flag(attrs, "registry.insecure")
            for name in names:
                exporter.push(str(name.untagged(descriptor.digest) if by_digest else name), descriptor, insecure)
        if keep:
            for stored in _stored_names(attrs, names, descriptor):
                self._host.store.images.set(stored, descriptor)
        shown = ", ".join(name.familiar for name in names) or "an image without a name"
        return Exported(f"{shown} {descriptor.digest}", facts(descriptor, images, names))


def _stored_names(attrs: Mapping[str, str], names: Sequence[Reference], descriptor: Descriptor) -> list[str]:
    """Every name that the image gets in the store."""
    stored = [str(name) for name in names]
    if flag(attrs, "name-canonical"):
        stored += [str(name.untagged(descriptor.digest)) for name in names]
    prefix = attrs.get("dangling-name-prefix", "")
    only = flag(attrs, "dangling-name-empty-only") or flag(attrs, "danging-name-empty-only")
    if prefix and not (only and names):
        stored.append(str(Reference.parse(prefix).untagged(descriptor.digest)))
    return stored
