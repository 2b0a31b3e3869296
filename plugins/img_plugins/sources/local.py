"""``local``: a folder of this machine, the context of a build.

Attributes: ``ignore``, the patterns of an ignore file, one a line, as `img.files.patterns.read_ignore` returns them.
"""

from __future__ import annotations

from img.ir.nodes import Source
from img.ports import Folder, Host, Pin


class LocalSource:
    """The source plugin. A folder as a whole has no identity: each use of it is keyed by the files it sees."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def pin(self, source: Source) -> Pin | None:
        return None

    def fetch(self, source: Source) -> Folder:
        """The folder itself; nothing is copied. Raises `UsageError` for a context that was not given."""
        patterns = dict(source.attrs).get("ignore", "")
        ignore = tuple(patterns.split("\n")) if patterns else ()
        return Folder(str(self._host.context(source.ref)), ignore, source.ref)
