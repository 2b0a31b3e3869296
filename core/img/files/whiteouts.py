"""Whiteouts of a tree on disk: overlayfs' own, a character device 0:0, and where that can't be made a *marked socket*.

overlayfs does not let anybody make a 0:0 device on itself (Linux, ``ovl_mknod``), and the store of a build in a container
often lies on the container's own overlay. There no overlay can be mounted over the store either, so that a form only img
knows does no harm: a socket with all special mode bits and no others. No layer can hold a socket, and none that a program
binds looks like it.
"""

from __future__ import annotations

import os
import stat

_MARK = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def make_whiteout(name: str, folder: int | None = None) -> None:
    """Hide what lower trees hold at `name`, relative to the descriptor `folder`. Raises `FileExistsError`, `OSError`."""
    try:
        os.mknod(name, stat.S_IFCHR | 0o600, 0, dir_fd=folder)
    except PermissionError:
        os.mknod(name, stat.S_IFSOCK | 0o600, 0, dir_fd=folder)
        os.chmod(name, _MARK, dir_fd=folder)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file with this (not followed) status is a whiteout."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    return stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == _MARK
