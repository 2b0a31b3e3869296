"""Cache mounts that outlive a machine: what is in them elsewhere (`index`), and when it comes and goes (`remote`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from img.engine import Engine
    from img.mounts.remote import RemoteMounts
    from img.request import Options


def mounts_of(engine: Engine, options: Options) -> RemoteMounts | None:
    """What a build does with cache mounts of other machines; None if nothing. Raises `UsageError`."""
    if not options.cache_mount_from and not options.cache_mount_to:
        return None
    from img.mounts.remote import RemoteMounts

    return RemoteMounts(engine, options.cache_mount_from, options.cache_mount_to)
