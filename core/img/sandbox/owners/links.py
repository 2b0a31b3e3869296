"""Hard links of layers below: to a step they are joined until one of the names is changed, as overlayfs has it.

A file that has several names since before the step began gets one of its own, under the name that was used, right before
that is changed. What a step itself makes and links stays joined.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from img.sandbox.owners.listener import Call
from img.sandbox.owners.where import Served, Where, open_path

_CHUNK = 1 << 24


def alone(served: Served, call: Call, file: int, status: os.stat_result) -> tuple[int, os.stat_result]:
    """`file`, open as a path, and its status; or those of the copy that took its place, `file` being closed then."""
    key = (status.st_dev, status.st_ino)
    if status.st_nlink == 1 or stat.S_ISDIR(status.st_mode) or key in served.table.made_here:
        return file, status
    if _mount(served, file) != _mount(served, served.root):
        return file, status
    path = os.readlink(b"self/fd/%d" % file, dir_fd=served.proc)
    fresh = _separate(served, call, file, status, path)
    os.close(file)
    return fresh, os.fstat(fresh)


def ready(served: Served, call: Call, place: Where, *, follow: bool = True, linked: bool = False) -> None:
    """What is there may be changed by the kernel after this, and is one file under its names from now on if it gets another
    (`linked`). What is wrong with it the kernel says."""
    with suppress(OSError):
        file = open_path(served, call, place, follow=follow)
        try:
            file, status = alone(served, call, file, os.fstat(file))
            if linked:
                served.table.made_here.add((status.st_dev, status.st_ino))
        finally:
            os.close(file)


def _mount(served: Served, file: int) -> bytes:
    """Which mount a file is in: caches and the like are joined as they are."""
    opened = os.open(b"self/fdinfo/%d" % file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=served.proc)
    try:
        return next(line for line in os.read(opened, 4096).splitlines() if line.startswith(b"mnt_id:"))
    finally:
        os.close(opened)


def _separate(served: Served, call: Call, file: int, status: os.stat_result, path: bytes) -> int:
    """Put a copy in the place of a name; returns it open as a path. Raises `OSError`."""
    folder, name = os.path.split(path)
    above = os.stat(folder)
    fresh = os.path.join(folder, b".img-%s" % os.urandom(8).hex().encode())
    if stat.S_ISREG(status.st_mode):
        source = os.open(b"self/fd/%d" % file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=served.proc)
        _copy(call, source, fresh, status.st_size)
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


def _copy(call: Call, left: int, dest: bytes, size: int) -> None:
    """A file with its attributes and holes; `left` is closed. It can take long: nobody waits for it when who asks is killed."""
    right = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for start, end in _parts(left, size):
            at = start
            while at < end:
                call.check()
                count = os.copy_file_range(left, right, min(end - at, _CHUNK), at, at)
                if not count:
                    break
                at += count
        os.ftruncate(right, size)
        for name in os.listxattr(left):
            os.setxattr(right, name, os.getxattr(left, name))
    except BaseException:
        os.unlink(dest)
        raise
    finally:
        os.close(left)
        os.close(right)


def _parts(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has contents, which are not holes: start and end of each part."""
    at = 0
    while at < size:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole
            return
        at = os.lseek(file, start, os.SEEK_HOLE)
        yield start, at
