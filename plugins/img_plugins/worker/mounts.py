"""The mounts of an Exec, as the sandbox wants them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from img.digest import sha256
from img.errors import BackendError
from img.files.view import View
from img.ir.nodes import Exec
from img.ir.values import Bind, CacheDir, Sharing, Tmpfs
from img.ports import Host, Result, Snapshot
from img.store.locks import locked, try_lock

Mount = dict[str, Any]


def resolve_mounts(host: Host, node: Exec, inputs: Sequence[Result], work: Path, held: ExitStack) -> list[Mount]:
    """Every mount of `node` with its source on disk. What has to be given back after the step is put on `held`.

    Raises `BackendError` for a mount that this backend does not know.
    """
    results = iter(inputs[1:])
    return [mount for item in node.mounts for mount in _resolve(host, item, results, work, held)]


def system_files(node: Exec, work: Path) -> list[Mount]:
    """/etc/hosts and /etc/resolv.conf of the step."""
    hosts = work / "hosts"
    name = node.confinement.hostname
    lines = [f"127.0.0.1\tlocalhost {name}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{host}" for host, address in node.confinement.hosts]
    hosts.write_text("\n".join(lines) + "\n")
    resolv = work / "resolv.conf"
    try:
        resolv.write_bytes(Path("/etc/resolv.conf").read_bytes())
    except OSError:
        resolv.write_bytes(b"")
    return [
        {"kind": "bind", "source": os.fspath(hosts), "target": "/etc/hosts", "file": True},
        {"kind": "bind", "source": os.fspath(resolv), "target": "/etc/resolv.conf", "file": True},
    ]


def _resolve(host: Host, mount: Any, results: Iterator[Result], work: Path, held: ExitStack) -> Iterator[Mount]:
    if isinstance(mount, Tmpfs):
        yield {"kind": "tmpfs", "target": mount.target, "size": mount.size}
    elif isinstance(mount, CacheDir):
        if mount.node is not None:
            raise BackendError("a cache mount that starts from another stage is not supported yet")
        yield _cache(host, mount, held)
    elif isinstance(mount, Bind):
        yield _bind(host, mount, next(results), work)
    else:
        kind = type(mount).__name__.lower()
        raise BackendError(f"mounts of type {kind} are not supported yet", hint="see the CHANGELOG for what is")


def _bind(host: Host, mount: Bind, result: Result, work: Path) -> Mount:
    """Another snapshot's path. One layer's tree is mounted as it is; several need to be laid over each other first,
    which the sandbox does in the step's own namespace."""
    if not isinstance(result, Snapshot):
        raise BackendError("only a snapshot can be mounted")
    trees = host.store.layers.trees(result)
    found = host.sandbox.call("img_plugins.worker.mounts:locate", trees, mount.path)
    if found is None:
        raise BackendError(f"there is no {mount.path} to mount on {mount.target}")
    place = work / f"bind-{os.urandom(4).hex()}"
    place.mkdir()
    return {
        "kind": "view",
        "lower": trees,
        "path": found["path"],
        "work": os.fspath(place),
        "target": mount.target,
        "file": found["file"],
        "readonly": mount.readonly,
    }


def locate(trees: Sequence[str], path: str) -> dict[str, Any] | None:
    """The job: where `path` leads in a snapshot, and whether it is a file."""
    view = View(trees)
    resolved = view.resolve(path)
    entry = view.lstat(resolved)
    if entry is None and resolved:
        return None
    return {"path": resolved, "file": entry is not None and entry.kind != "dir"}


def _cache(host: Host, mount: CacheDir, held: ExitStack) -> Mount:
    """A cache mount's folder in the store. A locked one is waited for; a private one that is taken gets a twin."""
    name = sha256(f"{mount.id}".encode())[7:39]
    locks = host.store.root / "locks"
    if mount.sharing is Sharing.LOCKED:
        held.enter_context(locked(locks / f"cache-{name}", lambda: host.cancelled))
    elif mount.sharing is Sharing.PRIVATE:
        number = 0
        while (lock := try_lock(locks / f"cache-{name}-{number}")) is None:
            number += 1
        held.callback(lock.release)
        name = f"{name}-{number}"
    place = os.fspath(host.store.root / "cache-mounts" / name)
    host.sandbox.call("img_plugins.worker.mounts:make_cache", place, mount.mode, mount.uid, mount.gid)
    return {"kind": "bind", "source": place, "target": mount.target, "readonly": mount.readonly}


def make_cache(path: str, mode: int, uid: int, gid: int) -> None:
    """The job: make a cache mount's folder if it is not there."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    os.chown(path, uid, gid)
    os.chmod(path, mode)
