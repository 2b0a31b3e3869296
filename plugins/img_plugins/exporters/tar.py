"""``type=tar``: the root filesystem as a tar. Attributes: ``dest`` (``-`` is standard output)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.ports import Export, Exported, Host
from img.store.pipes import read_from
from img_plugins.exporters.assembled import check_attrs
from img_plugins.exporters.places import whole_file


class TarExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns where it is."""
        check_attrs(attrs, "tar", ("dest",))
        if len(exports) != 1:
            raise UsageError("type=tar takes one platform", hint="use type=oci for several")
        trees = self._host.store.layers.trees(exports[0].snapshot)
        with whole_file(attrs.get("dest", ""), "tar") as write:
            for data in read_from(self._host.sandbox.call, "img_plugins.exporters.flat:tar_view", trees):
                write(data)
        return Exported(attrs["dest"], {})
