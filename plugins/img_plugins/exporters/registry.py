"""``type=registry``: pushed to the registry its name says. Attributes: ``name`` (separated by commas),
``push-by-digest``, and those of every image (`img_plugins.exporters.forms`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from img.errors import Cancelled, UsageError
from img.events import Progress
from img.oci.reference import Reference
from img.oci.spec import INDEXES, Descriptor, Index, Manifest
from img.ports import Export, Exported, Host
from img_plugins.exporters.assembled import facts, names_of, store_all
from img_plugins.exporters.forms import IMAGE, check_attrs, flag

THREADS = 4
CHUNK = 1 << 20


class RegistryExporter:
    """See `img.ports.Exporter`. Blobs go first, several at once, those the registry has are skipped; the manifest, and
    with it the tag, comes last, so that no tag ever stands for half an image."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns the names and the digest."""
        check_attrs(attrs, "registry", (*IMAGE, "push-by-digest"))
        names = names_of(attrs)
        if not names:
            raise UsageError("type=registry needs a name", hint="add name=… or -t")
        descriptor, images = store_all(self._host, exports, attrs)
        by_digest = flag(attrs, "push-by-digest")
        for name in names:
            self.push(str(name.untagged(descriptor.digest) if by_digest else name), descriptor)
        line = f"pushed {', '.join(map(str, names))} {descriptor.digest}"
        return Exported(line, facts(descriptor, images, names))

    def push(self, name: str, descriptor: Descriptor) -> str:
        """Push a stored image under `name`; returns the manifest's digest. Raises `RegistryError`, `CorruptBlob`."""
        reference = Reference.parse(name)
        client = self._client(reference)
        self._tree(client, reference, descriptor, reference.tag or descriptor.digest)
        return descriptor.digest

    def _tree(self, client: Any, reference: Reference, descriptor: Descriptor, target: str) -> None:
        blobs = self._host.store.blobs
        data = blobs.read(descriptor.digest)
        if descriptor.media_type in INDEXES:
            for inner in Index.parse(data).manifests:
                self._tree(client, reference, inner, inner.digest)
        else:
            manifest = Manifest.parse(data)
            unique = {d.digest: d for d in (*manifest.layers, manifest.config)}
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(THREADS, "push") as pool:
                for done in [pool.submit(self._blob, client, reference, d) for d in unique.values()]:
                    done.result()
        client.put_manifest(reference, target, descriptor.media_type, data)

    def _blob(self, client: Any, reference: Reference, descriptor: Descriptor) -> None:
        if self._host.cancelled:
            raise Cancelled
        if client.has_blob(reference, descriptor.digest):
            return
        client.upload(reference, descriptor, lambda: self._counted(descriptor))

    def _counted(self, descriptor: Descriptor) -> Any:
        """The blob's bytes, verified as they leave."""
        done = 0
        for data in self._host.store.blobs.chunks(descriptor.digest):
            done += len(data)
            event = Progress("", descriptor.digest, "pushing", done, descriptor.size, time.monotonic())
            self._host.emit(event)
            yield data

    def _client(self, reference: Reference) -> Any:
        from img_plugins.registry.client import Client
        from img_plugins.registry.credentials import from_files

        files = self._host.settings.get("auth_file", "")
        return Client(reference.registry, lambda host: self._host.credentials(host) or from_files(files, host))
