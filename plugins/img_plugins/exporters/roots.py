"""What ``type=tar`` and ``type=local`` share: filesystems instead of images, those of several platforms beside each
other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from img.errors import UsageError
from img.ports import Export, Host
from img.store.pipes import read_from
from img_plugins.exporters.forms import epoch_of, flag, version_of

KNOWN = ("dest", "platform-split", "source-date-epoch", "compatibility-version")
Roots = list[tuple[str, list[str]]]
"""(folder of the result, or empty for its root; trees bottom up) of each target."""


def roots_of(host: Host, exports: Sequence[Export], attrs: Mapping[str, str]) -> Roots:
    """Each target in a folder named ``os_architecture`` if there are several, or ``platform-split=true`` says so.

    Raises `UsageError` if several have to share one root and both have a file.
    """
    version_of(attrs)  # files are the same in each
    split = flag(attrs, "platform-split", len(exports) > 1)
    trees = [host.store.layers.trees(export.snapshot) for export in exports]
    if not split and len(exports) > 1 and (path := host.sandbox.call("img.oci.flat:clash", trees)):
        raise UsageError(f"/{path} is in the result of more than one platform", hint="leave out platform-split=false")
    folders = [export.target.platform.replace("/", "_") if split else "" for export in exports]
    return list(zip(folders, trees, strict=True))


def tar_of(host: Host, exports: Sequence[Export], attrs: Mapping[str, str]) -> Iterator[bytes]:
    """The files as a tar. With an epoch, that is the time of each of them."""
    stated = epoch_of(attrs)
    epoch = exports[0].target.epoch if stated is None else stated
    return read_from(host.sandbox.call, "img.oci.flat:tar_view", roots_of(host, exports, attrs), epoch)
