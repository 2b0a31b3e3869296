"""What a backend can do beyond the plain steps on files, by name, and what a node asks of the backend that makes it.

A backend says which of these names it has on this machine (`img.ports.Worker.abilities`). A build that needs one that its
backend lacks fails before anything runs (`img.backends`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from img.ir.nodes import Copy, Diff, Exec, Link, Merge, Node, Scratch
from img.ir.values import HOSTNAME, Bind, CacheDir, Confinement, Mount, Network, Secret, Security, Ssh

WORDS = MappingProxyType(
    {
        "run": "a process of its own",
        "mount.bind": "a mount of the files of another step",
        "mount.cache": "a cache mount",
        "mount.secret": "a secret",
        "mount.secret.env": "a secret in a variable",
        "mount.ssh": "an ssh agent",
        "mount.tmpfs": "a tmpfs mount",
        "mount.tmpfs.size": "a tmpfs mount with a limit",
        "network.none": "a step without network",
        "network.host": "the network of the machine",
        "network.sandbox": "a network of its own with a way out",
        "security.insecure": "a step that is not confined",
        "devices": "a device of the machine",
        "hostname": "a host name of its own",
        "hosts": "further lines in /etc/hosts",
        "rlimits": "limits as of ulimit",
        "shm_size": "a size of /dev/shm",
        "resources.memory": "a limit of memory",
        "resources.cpu": "a share of the processors",
        "resources.pids": "a limit of processes",
        "resources.timeout": "a limit of time",
        "files.patterns": "a copy by patterns, as of --exclude and --parents",
        "files.modes": "a mode in letters",
        "files.link": "a symbolic link as a step",
        "files.merge": "files of several steps laid over each other",
        "files.diff": "the difference of two steps",
    }
)
"""Each ability, and what it is called in messages."""

QUALITIES = MappingProxyType(
    {
        "logs.whole": "all that a step writes is kept, however much it is",
        "proc": "a /proc of the step's own, and with it /dev/stdout, /dev/stderr and /dev/fd",
        "mount.cache.live": "steps that share a cache at one time see each other's files",
        "mounts.traceless": "mount points that the image lacks are not in the result",
        "xattrs": "extended attributes of all kinds are kept, not only capabilities",
        "files.excludes.named": "what the path of a copy names itself can be excluded too",
        "files.remove.strict": "to remove what is not there is an error",
    }
)
"""What no step asks for, and yet tells backends apart."""

ALL = frozenset(WORDS) | frozenset(QUALITIES)


def needs(node: Node, network: str = "") -> frozenset[str]:
    """The abilities that making `node` takes; `network` is what a step gets that does not say."""
    if isinstance(node, Exec):
        return frozenset(_of_step(node, network))
    if isinstance(node, Copy):
        return frozenset(_of_copy(node))
    if isinstance(node, Merge) and sum(not isinstance(layer, Scratch) for layer in node.layers) < 2:
        return frozenset()
    files = {Link: "files.link", Merge: "files.merge", Diff: "files.diff"}
    return frozenset(name for kind, name in files.items() if isinstance(node, kind))


def lacking(nodes: Iterable[Node], abilities: frozenset[str], network: str = "") -> list[tuple[Node, str]]:
    """Each node of `nodes` that takes what is not in `abilities`, with the first name that it lacks."""
    found = ((node, needs(node, network) - abilities) for node in nodes)
    return [(node, min(names, key=_rank)) for node, names in found if names]


def _rank(name: str) -> tuple[int, str]:
    names = list(WORDS)
    return (names.index(name) if name in WORDS else len(names), name)


def _of_copy(node: Copy) -> Iterator[str]:
    if node.excludes or node.parents:
        yield "files.patterns"
    if node.mode and not node.mode.isdigit():
        yield "files.modes"


def _of_step(node: Exec, network: str) -> Iterator[str]:
    yield "run"
    for mount in node.mounts:
        yield from _of_mount(mount)
    if any(device.required for device in node.devices):
        yield "devices"
    yield from _of_confinement(node.confinement, network)


def _of_mount(mount: Mount) -> Iterator[str]:
    match mount:
        case Bind():
            yield "mount.bind"
        case CacheDir():
            yield "mount.cache"
        case Secret():
            yield "mount.secret"
            if mount.env:
                yield "mount.secret.env"
        case Ssh():
            yield "mount.ssh"
        case _:
            yield "mount.tmpfs"
            if mount.size:
                yield "mount.tmpfs.size"


def _of_confinement(confinement: Confinement, network: str) -> Iterator[str]:
    wanted = network if confinement.network is Network.DEFAULT else confinement.network.value
    if wanted:
        yield f"network.{wanted}"
    if confinement.security is Security.INSECURE:
        yield "security.insecure"
    if confinement.hostname != HOSTNAME:
        yield "hostname"
    if confinement.hosts:
        yield "hosts"
    if confinement.limits:
        yield "rlimits"
    if confinement.shm_size:
        yield "shm_size"
    limits = confinement.resources.document()
    yield from dict.fromkeys(f"resources.{name.partition('_')[0].replace('cpuset', 'cpu')}" for name in limits)
