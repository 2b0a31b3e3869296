"""``type=registry``: pushed to the registry its name says. Attributes: ``name`` (separated by commas),
``push-by-digest``, ``registry.insecure``, and those of every image (`img_plugins.exporters.forms`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.oci.reference import Reference
from img.oci.spec import Descriptor
from img.ports import Export, Exported, Host
from img_plugins.exporters.assembled import facts, names_of, store_all
from img_plugins.exporters.forms import IMAGE, check_attrs, flag


class RegistryExporter:
    """See `img.ports.Exporter`. Blobs go first, several at once, those the registry has are skipped; the manifest, and
    with it the tag, comes last, so that no tag ever stands for half an image. Layers of a base that only its registry has
    are mounted or streamed from there; they never touch the store."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns the names and the digest."""
        check_attrs(attrs, "registry", (*IMAGE, "push-by-digest", "registry.insecure"))
        names = names_of(attrs)
        if not names:
            raise UsageError("type=registry needs a name", hint="add name=… or -t")
        descriptor, images = store_all(self._host, exports, attrs, remote=True)
        by_digest, insecure = flag(attrs, "push-by-digest"), flag(attrs, "registry.insecure")
        for name in names:
            self.push(str(name.untagged(descriptor.digest) if by_digest else name), descriptor, insecure)
        line = f"{', '.join(name.familiar for name in names)} {descriptor.digest} to the registry"
        return Exported(line, facts(descriptor, images, names))

    def push(self, name: str, descriptor: Descriptor, insecure: bool = False) -> str:
        """Push a stored image under `name`; returns the manifest's digest. With `insecure`, plain HTTP or any certificate
        will do. Raises `RegistryError`, `CorruptBlob`."""
        from img_plugins.exporters.pushing import Push

        reference = Reference.parse(name)
        Push(self._host, reference, insecure).tree(descriptor, reference.tag or descriptor.digest)
        return descriptor.digest
