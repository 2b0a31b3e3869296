"""Cache mounts: folders of the store that outlive builds."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from img.digest import digest_of, sha256
from img.errors import BackendError
from img.files.entry import Entry
from img.files.owners import Owners
from img.files.records import unprivileged
from img.files.view import View
from img.files.xattrs import write_xattrs
from img.ir.values import CacheDir, Sharing
from img.ports import Host, Snapshot
from img.store.locks import locked, shared, try_lock

Mount = dict[str, Any]

_PLAIN = (0o755, 0, 0)


def cache_mount(host: Host, mount: CacheDir, start: Snapshot | None, held: ExitStack) -> Mount:
    """A cache mount's folder in the store, made if it is new: empty, or with the content of `start`.

    A locked one is waited for; a private one that is taken gets a twin, and the twin is used again by later builds.
    Whoever uses a folder, in whatever way, has a share of its use lock, so that nobody prunes it.
    """
    name = _name(mount, start)
    locks = host.store.root / "locks"
    if mount.sharing is Sharing.LOCKED:
        held.enter_context(locked(locks / f"cache-{name}", lambda: host.cancelled))
    elif mount.sharing is Sharing.PRIVATE:
        number = 0
        while (lock := try_lock(locks / f"cache-{name}-{number}")) is None:
            number += 1
        held.callback(lock.release)
        name = f"{name}-{number}"
    held.callback(shared(locks / f"use-{name}").release)
    place = host.store.root / "cache-mounts" / name
    if not place.exists():
        with locked(locks / f"make-{name}", lambda: host.cancelled):
            if not place.exists():
                kept = host.cache_mounts
                if kept is None or not kept.fill(name, os.fspath(place)):
                    _make(host, mount, start, os.fspath(place))
    if host.cache_mounts is not None:
        host.cache_mounts.used(name, mount.id, mount.target)
    host.store.caches.used(name, mount.id, mount.target)
    return {
        "kind": "bind",
        "source": os.fspath(place),
        "target": mount.target,
        "readonly": mount.readonly,
        "kept": True,
    }


def _name(mount: CacheDir, start: Snapshot | None) -> str:
    """A cache that starts from other files is another cache, as with BuildKit."""
    if start is None:
        return sha256(mount.id.encode())[7:39]
    return digest_of(["cache", mount.id, list(start.layers), mount.path])[7:39]


def _make(host: Host, mount: CacheDir, start: Snapshot | None, place: str) -> None:
    scratch = host.store.scratch()
    call = host.sandbox.call
    try:
        trees = host.store.layers.trees(start) if start is not None else []
        owner = [mount.mode, mount.uid, mount.gid]
        source = mount.path if start is not None else ""
        made = call("img_plugins.worker.caches:make_cache", os.fspath(scratch / "new"), trees, source, owner, place)
    finally:
        call("img.oci.diff:remove_tree", os.fspath(scratch))
    if not made:
        raise BackendError(f"there is no folder {mount.path} that the cache on {mount.target} could start from")


def make_cache(new: str, trees: Sequence[str], source: str, owner: Sequence[int], place: str) -> bool:
    """The job: make the folder `new` and move it to `place`, whole or not at all.

    With `trees` it gets what is at `source` in them; its own attributes too, unless `owner` (mode, uid, gid) asks for
    other ones. Returns whether there was such a folder.
    """
    mode, uid, gid = owner
    owners = Owners() if unprivileged() else None
    if source:
        view = View(trees)
        top = view.resolve(source)
        entry = view.lstat(top)
        if entry is not None and entry.kind != "dir":
            return False
        if entry is None and top:
            return False
        copy_view(view, top, new, owners)
    else:
        os.mkdir(new)
    if not source or tuple(owner) != _PLAIN:
        here = Entry("", "dir", mode, uid, gid)
        if owners is not None:
            here = owners.keep(here)
        os.chown(new, here.uid, here.gid)
        os.chmod(new, mode)
    if owners is not None:
        owners.save(place)
    os.rename(new, place)
    return True


def copy_view(view: View, top: str, dest: str, owners: Owners | None = None) -> None:
    """Copy the folder `top` of a view to the new folder `dest`, with all attributes and hard links. With `owners` they
    are kept there, and everything on the disk is this process's own."""
    _Copying(view, top, dest, owners).run()


class _Copying:
    """Files of a view, copied into a new folder with all their attributes; hard links stay together."""

    def __init__(self, view: View, top: str, dest: str, owners: Owners | None) -> None:
        self._owners = owners
        self._view = view
        self._top = top
        self._dest = dest
        self._links: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        os.mkdir(self._dest)
        pending = [""]
        folders: list[str] = []
        while pending:
            path = pending.pop()
            folders.append(path)
            for name in self._view.listdir(self._under(path)):
                below = f"{path}/{name}" if path else name
                source, place = self._source(below), self._place(below)
                status = os.lstat(source)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(place)
                    pending.append(below)
                else:
                    self._file(below, source, status)
        for path in reversed(folders):
            self._attributes(path, self._entry(path))

    def _entry(self, path: str) -> Entry:
        entry = self._view.lstat(self._under(path))
        assert entry is not None
        entry = entry._replace(path=path)
        return entry if self._owners is None else self._owners.keep(entry)

    def _under(self, path: str) -> str:
        return "/".join(part for part in (self._top, path) if part)

    def _source(self, path: str) -> str:
        found = self._view.locate(self._under(path))
        assert found is not None
        return found

    def _place(self, path: str) -> str:
        return f"{self._dest}/{path}" if path else self._dest

    def _file(self, path: str, source: str, status: os.stat_result) -> None:
        entry, place = self._entry(path), self._place(path)
        name = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and name in self._links:
            os.link(self._links[name], place, follow_symlinks=False)
            return
        self._links[name] = place
        if entry.kind == "file":
            shutil.copyfile(source, place)
        elif entry.kind == "symlink":
            os.symlink(entry.link, place)
        else:
            kind = stat.S_IFSOCK if entry.kind == "socket" else status.st_mode
            os.mknod(place, kind, os.makedev(*entry.device))
        self._attributes(path, entry)

    def _attributes(self, path: str, entry: Entry) -> None:
        place = self._place(path)
        os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind != "symlink":
            os.chmod(place, entry.mode)
            write_xattrs(place, entry.xattrs)
        os.utime(place, ns=(entry.mtime, entry.mtime), follow_symlinks=False)
