"""Which extended attributes belong to an image, and how the kernel's form of them becomes the image's."""

from __future__ import annotations

import errno
import os
import struct

OPAQUE = "user.overlay.opaque"
"""overlayfs' mark of a folder that hides what lies below (mounted with ``userxattr``)."""

CAPABILITY = "security.capability"
_PREFIX = "user.overlay."
_VFS_CAP_REVISION_2 = 0x02000000
_VFS_CAP_REVISION_3 = 0x03000000
_REVISION_MASK = 0xFF000000

Xattrs = tuple[tuple[str, bytes], ...]

_UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENODATA)


def kept(name: str) -> bool:
    """Whether the attribute is part of an image: file capabilities and ``user.*`` but overlayfs' own."""
    return name == CAPABILITY or (name.startswith("user.") and not name.startswith(_PREFIX))


def read_xattrs(path: str | int) -> tuple[Xattrs, bool]:
    """The image's attributes of a file that is not followed if a symlink, and whether it is marked opaque."""
    try:
        names = os.listxattr(path, follow_symlinks=False) if isinstance(path, str) else os.listxattr(path)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return (), False
        raise
    if not names:
        return (), False
    found: list[tuple[str, bytes]] = []
    for name in sorted(names):
        if kept(name):
            value = os.getxattr(path, name, follow_symlinks=False) if isinstance(path, str) else os.getxattr(path, name)
            found.append((name, normal_capability(value) if name == CAPABILITY else value))
    return tuple(found), OPAQUE in names


def write_xattrs(path: str | int, xattrs: Xattrs) -> None:
    """Set attributes. One that the filesystem does not take is left out, as every unpacker does."""
    for name, value in xattrs:
        if not kept(name):
            continue
        try:
            if isinstance(path, str):
                os.setxattr(path, name, value, follow_symlinks=False)
            else:
                os.setxattr(path, name, value)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise


def normal_capability(value: bytes) -> bytes:
    """File capabilities as images carry them: version 2. In a user namespace the kernel stores version 3, which names
    the namespace's root at its end (capabilities(7), "File capability versioning")."""
    if len(value) == 24:
        (magic,) = struct.unpack_from("<I", value)
        if magic & _REVISION_MASK == _VFS_CAP_REVISION_3:
            return struct.pack("<I", (magic & ~_REVISION_MASK) | _VFS_CAP_REVISION_2) + value[4:20]
    return value
