"""An exporter in twenty lines: the names of all files, one a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from img.errors import UsageError
from img.files.view import View
from img.ports import Export, Exported, Host


class FilesExporter:
    """``--output type=files,dest=FILE``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Write the list; returns its name."""
        if unknown := sorted(set(attrs) - {"dest"}):
            raise UsageError(f"--output type=files has no attribute {unknown[0]!r}", hint="it has: dest")
        if not attrs.get("dest"):
            raise UsageError("--output type=files needs dest=…")
        if len(exports) != 1:
            raise UsageError("--output type=files takes one platform", hint="build for one at a time")
        trees = self._host.store.layers.trees(exports[0].snapshot)
        names = self._host.sandbox.call("img_example.exporter:names", trees)
        prefix = self._host.settings.get("files_prefix", "")
        Path(attrs["dest"]).write_text("".join(f"{prefix}{name}\n" for name in names))
        return Exported(attrs["dest"], {})


def names(trees: Sequence[str]) -> list[str]:
    """The job: runs in the sandbox, where all files can be read."""
    view = View(trees)
    found: list[str] = []
    stack = [""]
    while stack:
        path = stack.pop()
        for name in view.listdir(path):
            inner = f"{path}/{name}" if path else name
            found.append(inner)
            entry = view.lstat(inner)
            if entry is not None and entry.kind == "dir":
                stack.append(inner)
    return sorted(found)
