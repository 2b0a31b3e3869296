"""``type=tar``: the root filesystem as a tar. Attributes: ``dest`` (``-`` is standard output), ``platform-split``,
``source-date-epoch``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.ports import Export, Exported, Host
from img_plugins.exporters.forms import check_attrs
from img_plugins.exporters.places import whole_file
from img_plugins.exporters.roots import KNOWN, tar_of


class TarExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns where it is."""
        check_attrs(attrs, "tar", KNOWN)
        with whole_file(attrs.get("dest", ""), "tar") as write:
            for data in tar_of(self._host, exports, attrs):
                write(data)
        return Exported(attrs["dest"], {})
