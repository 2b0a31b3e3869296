"""``certs.d`` folders, as docker and containers have them: ``HOST[:PORT]/*.crt`` are authorities, ``NAME.cert`` with
``NAME.key`` is our own certificate (containers-certs.d(5)). The first folder that knows the host is the one that counts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from img.errors import UsageError
from img_plugins.registry.hosts.model import Trust


def trust(folders: Sequence[Path], host: str) -> Trust | None:
    """What the folders say of `host`; None if they don't know it. Raises `UsageError` for a half client certificate."""
    if "/" in host or host in ("", ".", ".."):
        return None
    for folder in folders:
        try:
            return _read(folder / host, sorted(os.listdir(folder / host)))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
    return None


def _read(folder: Path, names: Sequence[str]) -> Trust:
    there = frozenset(names)
    ca = tuple(str(folder / name) for name in names if name.endswith(".crt"))
    certs = [name for name in names if name.endswith(".cert")]
    for name in names:
        stem, dot, kind = name.rpartition(".")
        wanted = {"cert": "key", "key": "cert"}.get(kind)
        if dot and wanted and f"{stem}.{wanted}" not in there:
            raise UsageError(
                f"{folder / name} has no {stem}.{wanted} beside it",
                hint="a client certificate is NAME.cert with NAME.key; an authority is NAME.crt",
            )
    if not certs:
        return Trust(ca)
    stem = certs[0].removesuffix(".cert")
    return Trust(ca, str(folder / certs[0]), str(folder / f"{stem}.key"))
