"""``type=image``: into the store, under one or more names. Attributes: ``name`` (separated by commas), ``push``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.ports import Export, Exported, Host
from img_plugins.exporters.assembled import check_attrs, facts, names_of, store_all


class ImageExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns the names and the digest."""
        check_attrs(attrs, "image", ("name", "push"))
        names = names_of(attrs)
        push = attrs.get("push", "false")
        if push not in ("true", "false"):
            raise UsageError(f"push={push} is neither true nor false")
        if push == "true" and not names:
            raise UsageError("type=image,push=true needs a name", hint="add name=… or -t")
        descriptor, images = store_all(self._host, exports, attrs)
        for name in names:
            self._host.store.images.set(str(name), descriptor)
        if push == "true":
            exporter = self._host.load("exporter", "registry")
            for name in names:
                exporter.push(str(name), descriptor)
        shown = ", ".join(name.familiar for name in names) or "an image without a name"
        return Exported(f"{shown} {descriptor.digest}", facts(descriptor, images, names))
