"""The mounts of an Exec, as the sandbox wants them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from img.errors import BackendError, UsageError
from img.files.records import unprivileged
from img.files.view import View
from img.ir.nodes import Exec
from img.ir.values import Bind, CacheDir, Secret, Ssh, Tmpfs
from img.ports import Host, Result, Snapshot
from img_plugins.worker.caches import cache_mount
from img_plugins.worker.memory import Memory
from img_plugins.worker.relay import Relay

Mount = dict[str, Any]


@dataclass(slots=True)
class Given:
    """What one step is given beside its root. `held` takes what must be given back after it."""

    host: Host
    node: Exec
    work: Path
    held: ExitStack
    memory: Memory = field(default_factory=Memory)
    environment: list[tuple[str, int, int]] = field(default_factory=list)
    """Variables that are secrets: name, and where their bytes are in `memory`."""


def resolve_mounts(given: Given, inputs: Sequence[Result]) -> list[Mount]:
    """Every mount of the step with its source on disk or in memory.

    Raises `UsageError` for a required secret or agent that the build was not given, `BackendError` for a mount that
    this backend does not know.
    """
    given.held.callback(given.memory.close)
    results = iter(inputs[1:])
    return [mount for item in given.node.mounts for mount in _resolve(given, item, results)]


def system_files(node: Exec, work: Path, network: str) -> list[Mount]:
    """/etc/hosts and /etc/resolv.conf of the step, which has the network `network`."""
    hosts = work / "hosts"
    name = node.confinement.hostname
    lines = [f"127.0.0.1\tlocalhost {name}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{host}" for host, address in node.confinement.hosts]
    hosts.write_text("\n".join(lines) + "\n")
    resolv = work / "resolv.conf"
    try:
        text = Path("/etc/resolv.conf").read_bytes()
    except OSError:
        text = b""
    if network == "sandbox":
        from img.sandbox.network import resolver

        text = resolver(text.decode("utf-8", "replace")).encode()
    resolv.write_bytes(text)
    return [
        {"kind": "bind", "source": os.fspath(hosts), "target": "/etc/hosts", "file": True},
        {"kind": "bind", "source": os.fspath(resolv), "target": "/etc/resolv.conf", "file": True},
    ]


def _resolve(given: Given, mount: Any, results: Iterator[Result]) -> Iterator[Mount]:
    if isinstance(mount, Tmpfs):
        yield {"kind": "tmpfs", "target": mount.target, "size": mount.size}
    elif isinstance(mount, CacheDir):
        start = None if mount.node is None else _snapshot(next(results))
        yield cache_mount(given.host, mount, start, given.held)
    elif isinstance(mount, Bind):
        yield _bind(given.host, mount, _snapshot(next(results)), given.work)
    elif isinstance(mount, Secret):
        yield from _secret(given, mount)
    elif isinstance(mount, Ssh):
        yield from _ssh(given, mount)
    else:
        raise BackendError(f"this backend does not know mounts of type {type(mount).__name__.lower()}")


# --- files of other steps ------------------------------------------------------------------------------------------


def _snapshot(result: Result) -> Snapshot:
    if not isinstance(result, Snapshot):
        raise BackendError("only a snapshot can be mounted")
    return result


def _bind(host: Host, mount: Bind, result: Snapshot, work: Path) -> Mount:
    """Another snapshot's path. One layer's tree is mounted as it is; several need to be laid over each other first,
    which the sandbox does in the step's own namespace."""
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


# --- what the user gave --------------------------------------------------------------------------------------------


def _secret(given: Given, mount: Secret) -> Iterator[Mount]:
    data = given.host.secret(mount.id)
    if data is None:
        if mount.required:
            hint = f"give it with --secret id={mount.id},src=FILE or --secret id={mount.id},env=NAME"
            raise UsageError(f"the step needs the secret {mount.id!r}, which the build was not given", hint=hint)
        return
    at = given.memory.add(data)
    if mount.env:
        if b"\0" in data:
            hint = "mount it as a file instead"
            raise UsageError(f"the secret {mount.id!r} has a zero byte, so it can't be a variable", hint=hint)
        given.environment.append((mount.env, at, len(data)))
    if mount.target:
        yield {
            "kind": "secret",
            "target": mount.target,
            "file": True,
            "at": at,
            "size": len(data),
            "mode": mount.mode,
            "uid": mount.uid,
            "gid": mount.gid,
        }


def _ssh(given: Given, mount: Ssh) -> Iterator[Mount]:
    agent = given.host.ssh(mount.id)
    if agent is None:
        if mount.required:
            hint = f"give it with --ssh {mount.id}, or --ssh {mount.id}=SOCKET-OR-KEY"
            raise UsageError(f"the step needs the ssh agent {mount.id!r}, which the build was not given", hint=hint)
        return
    path = os.fspath(given.work / f"ssh-{os.urandom(4).hex()}")
    relay = Relay(path, agent)
    given.held.callback(relay.close)
    given.host.sandbox.call("img_plugins.worker.mounts:own", path, mount.mode, mount.uid, mount.gid)
    yield {
        "kind": "bind",
        "source": path,
        "target": mount.target,
        "file": True,
        "uid": mount.uid,
        "gid": mount.gid,
    }


def own(path: str, mode: int, uid: int, gid: int) -> None:
    """The job: give a socket its owner and mode. Where nobody can be given anything, the step's recorder says whose it is."""
    if not unprivileged():
        os.chown(path, uid, gid)
    os.chmod(path, mode)
