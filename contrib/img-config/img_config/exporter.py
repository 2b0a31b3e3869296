"""``--output type=config,dest=FILE``: what the image would be configured to do, without its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img.ports import Export, Exported, Host


class ConfigExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        """The host is not needed: nothing is read from the store."""

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Write the list of configurations, one for each platform. Raises `UsageError`."""
        if set(attrs) != {"dest"}:
            raise UsageError("--output type=config takes dest, and nothing else")
        part = f"{attrs['dest']}.part"
        try:
            with open(part, "w", encoding="utf-8") as out:
                json.dump([dict(export.target.config) for export in exports], out, indent=2)
            os.replace(part, attrs["dest"])
        except OSError as error:
            raise UsageError(f"can't write {attrs['dest']}: {error.strerror}") from error
        return Exported(attrs["dest"], {})
