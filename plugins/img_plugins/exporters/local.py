"""``type=local``: the root filesystem as a folder of this machine (`img.oci.folder`). Attributes: ``dest``,
``platform-split``, ``source-date-epoch``, and ``mode``: ``copy`` leaves what else is in the folder, ``delete`` removes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.oci.folder import remove_others, write_files
from img.ports import Export, Exported, Host
from img_plugins.exporters.forms import check_attrs
from img_plugins.exporters.roots import KNOWN, tar_of


class LocalExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Returns where it is."""
        check_attrs(attrs, "local", (*KNOWN, "mode"))
        dest, mode = attrs.get("dest", ""), attrs.get("mode", "copy")
        if not dest:
            raise UsageError("--output type=local needs dest=…")
        if mode not in ("copy", "delete"):
            raise UsageError(f"mode={mode} is neither copy nor delete")
        if mode == "delete":
            _check_own(dest)
        paths = write_files(dest, tar_of(self._host, exports, attrs))
        if mode == "delete":
            remove_others(dest, paths)
        return Exported(dest, {})


def _check_own(dest: str) -> None:
    """Raises `UsageError` for a folder in which more lives than a build's result."""
    place = os.path.realpath(dest)
    for kept in (os.getcwd(), os.path.expanduser("~")):
        if os.path.commonpath((place, os.path.realpath(kept))) == place:
            raise UsageError(
                f"mode=delete would remove everything else in {dest}, {kept} with it", hint="name a folder of its own"
            )
