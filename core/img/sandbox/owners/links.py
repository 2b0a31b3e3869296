"""Hard links of layers below: to a step they are joined until one of the names is changed, as overlayfs has it.

A file that has several names since before the step began gets one of its own, under the name that was used, right before
that is changed. What a step itself makes and links stays joined.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from img.sandbox.owners.listener import Call
from img.sandbox.owners.where import Served, Where, open_path

_CHUNK = 1 << 24


def alone(served: Served, file: int, status: os.stat_result) -> tuple[int, os.stat_result]:
    """`file`, open as a path, and its status; or those of the copy that took its place, `file` being closed then."""
    key = (status.st_dev, status.st_ino)
    if status.st_nlink == 1 or stat.S_ISDIR(status.st_mode) or key in served.table.made_here:
        return file, status
    if _mount(served, file) != _mount(served, served.root):
        return file, status
    path = os.readlink(b"self/fd/%d" % file, dir_fd=served.proc)
    fresh = _separate(served, file, status, path)
    os.close(file)
    return fresh, os.fstat(fresh)


def ready(served: Served, call: Call, place: Where, *, follow: bool = True) -> None:
    """What is there may be changed by the kernel after this. What is wrong with it the kernel says."""
    with suppress(OSError):
        file = open_path(served, call, place, follow=follow)
        try:
            file, _ = alone(served, file, os.fstat(file))
        finally:
            os.close(file)


def _mount(served: Served, file: int) -> bytes:
    """Which mount a file is in: caches and the like are joined as they are."""
    opened = os.open(b"self/fdinfo/%d" % file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=served.proc)
    try:
        return next(line for line in os.read(opened, 4096).splitlines() if line.startswith(b"mnt_id:"))
    finally:
        os.close(opened)


def _separate(served: Served, file: int, status: os.stat_result, path: bytes) -> int:
    """Put a copy in the place of a name; returns it open as a path. Raises `OSError`."""
    folder, name = os.path.split(path)
    above = os.stat(folder)
    fresh = os.path.join(folder, b".img-%s" % os.urandom(8).hex().encode())
    source = b"self/fd/%d" % file
    if stat.S_ISREG(status.st_mode):
        _copy(served, source, fresh)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(path), fresh)
    else:
        os.mknod(fresh, stat.S_IFMT(status.st_mode) | 0o600)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(fresh, stat.S_IMODE(status.st_mode))
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
    served.table.set(os.lstat(fresh), served.table.of(status), here=True)
    opened = os.open(fresh, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.rename(fresh, os.path.join(folder, name))
    os.utime(folder, ns=(above.st_atime_ns, above.st_mtime_ns))
    return opened


def _copy(served: Served, source: bytes, dest: bytes) -> None:
    left = os.open(source, os.O_RDONLY | os.O_CLOEXEC, dir_fd=served.proc)
    right = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while data := os.read(left, _CHUNK):
            view = memoryview(data)
            while view:
                view = view[os.write(right, view) :]
        for name in os.listxattr(left):
            os.setxattr(right, name, os.getxattr(left, name))
    finally:
        os.close(left)
        os.close(right)
