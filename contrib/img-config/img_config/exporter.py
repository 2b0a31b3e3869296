"""``--output type=config,dest=FILE``: what the image would be configured to do, without its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from img.errors import UsageError
from img.ports import Export, Exported, Host


class ConfigExporter:
    """See `img.ports.Exporter`."""

    def __init__(self, host: Host) -> None:
        """The host is not needed: nothing is read from the store."""

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Write the list of configurations, one for each platform. Raises `UsageError`."""
        wrong = sorted(set(attrs) - {"dest"}) or (["no dest"] if "dest" not in attrs else [])
        if wrong:
            raise UsageError(f"--output type=config takes dest alone, and has {', '.join(wrong)}")
        part = f"{attrs['dest']}.part"
        try:
            with open(part, "w", encoding="utf-8") as out:
                json.dump([dict(export.target.config) for export in exports], out, indent=2)
            os.replace(part, attrs["dest"])
        except OSError as error:
            with suppress(OSError):
                os.unlink(part)
            raise UsageError(f"can't write {attrs['dest']}: {error.strerror}") from error
        return Exported(attrs["dest"], {})
