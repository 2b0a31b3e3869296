"""The nodes of the graph.

A node is immutable. Its `document` is everything that makes it what it is: plain JSON values, inputs named by their
digests. Its `digest` is the digest of that document, computed once. Equality, hash and repr go by digest. `notes`
are outside. No walk in this package recurses: a chain of 10,000 nodes is an ordinary graph.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from img.digest import Encodable, digest_of
from img.ir.values import Bind, CacheDir, Confinement, Device, Mount, Notes, Pairs, Secret, Ssh, Tmpfs

Document = dict[str, Encodable]

VERSION = 1
"""The version of the documents; part of every digest."""


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """A step that yields a filesystem."""

    step: ClassVar[str] = ""
    """The step's name in the instruction stream."""

    notes: Notes = field(default=Notes(), kw_only=True)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest_of({"img": VERSION, **self.document()}))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.digest[7:19]} {self.notes.title}>"

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes this one reads, in the order `document` names them. May hold one node twice."""
        return ()

    def fields(self) -> Document:
        """What tells this node from others of its class and inputs; plain JSON values."""
        return {}

    def document(self) -> Document:
        """The node as an instruction: ``step``, ``inputs`` (digests) and its own fields."""
        return self.keyed([node.digest for node in self.inputs])

    def keyed(self, inputs: Sequence[Encodable]) -> Document:
        """The same document over other names for the inputs: what cache keys are made from."""
        return {"step": self.step, "inputs": list(inputs), **self.fields()}


@dataclass(frozen=True, eq=False, repr=False)
class Scratch(Node):
    """An empty filesystem."""

    step = "SCRATCH"


@dataclass(frozen=True, eq=False, repr=False)
class Source(Node):
    """Files from outside the graph.

    `scheme` names a source plugin: ``docker-image`` (ref is a normalised name), ``local`` (ref is the context's
    name, ``context`` for the main one), ``git``, ``http``, ``oci-layout``, or a stranger's. `attrs` are sorted pairs that
    the plugin documents. A source of images has ``platform`` (``linux/amd64``), and no other has it.
    """

    step = "SOURCE"
    scheme: str
    ref: str
    attrs: Pairs = ()
    retry: int = field(default=0, kw_only=True)
    """How often it is asked again when it fails; outside the identity."""

    @property
    def is_image(self) -> bool:
        """Whether it stands for an image: a whole filesystem. Others are folders of files."""
        return any(name == "platform" for name, _ in self.attrs)

    def fields(self) -> Document:
        return {"scheme": self.scheme, "ref": self.ref, "attrs": dict(self.attrs)}


@dataclass(frozen=True, eq=False, repr=False)
class Exec(Node):
    """A process that runs over `root` and whose changes are the result."""

    step = "RUN"
    root: Node
    argv: tuple[str, ...]
    env: Pairs = ()
    """The whole environment, in order; names are unique."""
    cwd: str = "/"
    user: str = ""
    """``user[:group]``, names or ids, resolved in the root's /etc/passwd and /etc/group; empty is 0:0."""
    mounts: tuple[Mount, ...] = ()
    confinement: Confinement = Confinement()
    devices: tuple[Device, ...] = field(default=(), kw_only=True)
    proxies: Pairs = field(default=(), kw_only=True)
    """Proxy variables: given to the process, outside the identity."""
    retry: int = field(default=0, kw_only=True)
    """How often it is run again when it fails; outside the identity, as the confinement's resources are."""

    @property
    def inputs(self) -> tuple[Node, ...]:
        mounted = (m.node for m in self.mounts if isinstance(m, Bind | CacheDir) and m.node is not None)
        return (self.root, *mounted)

    def fields(self) -> Document:
        c = self.confinement
        devices: list[Encodable] = [[device.name, device.required] for device in self.devices]
        return {
            "command": list(self.argv),
            "env": [[name, value] for name, value in self.env],
            "cwd": self.cwd,
            "user": self.user,
            "mounts": self._mounts(),
            "network": c.network.value,
            "security": c.security.value,
            "hostname": c.hostname,
            "hosts": [[name, address] for name, address in c.hosts],
            "limits": [[limit.name, limit.soft, limit.hard] for limit in c.limits],
            "shm_size": c.shm_size,
            **({"devices": devices} if devices else {}),
        }

    def _mounts(self) -> list[Encodable]:
        documents: list[Encodable] = []
        position = 1
        for mount in self.mounts:
            mounted = isinstance(mount, Bind | CacheDir) and mount.node is not None
            documents.append(mount_document(mount, position if mounted else None))
            position += mounted
        return documents


def mount_document(mount: Mount, position: int | None) -> Document:
    """A mount as part of an instruction; `position` is where the node it mounts stands among the inputs."""
    match mount:
        case Bind():
            return {
                "type": "bind",
                "input": position,
                "target": mount.target,
                "path": mount.path,
                "readonly": mount.readonly,
            }
        case CacheDir():
            return {
                "type": "cache",
                "id": mount.id,
                "target": mount.target,
                "sharing": mount.sharing.value,
                "mode": mount.mode,
                "uid": mount.uid,
                "gid": mount.gid,
                "input": position,
                "path": mount.path,
                "readonly": mount.readonly,
            }
        case Secret():
            return {
                "type": "secret",
                "id": mount.id,
                "target": mount.target,
                "env": mount.env,
                "mode": mount.mode,
                "uid": mount.uid,
                "gid": mount.gid,
                "required": mount.required,
            }
        case Ssh():
            return {
                "type": "ssh",
                "id": mount.id,
                "target": mount.target,
                "mode": mount.mode,
                "uid": mount.uid,
                "gid": mount.gid,
                "required": mount.required,
            }
        case Tmpfs(target, size):
            return {"type": "tmpfs", "target": target, "size": size}


def _mtime(seconds: int | None) -> Document:
    return {} if seconds is None else {"mtime": seconds}


@dataclass(frozen=True, eq=False, repr=False)
class Copy(Node):
    """Paths of `source`, copied onto `base`: what COPY does, and ADD with local files."""

    step = "COPY"
    base: Node
    source: Node
    paths: tuple[str, ...]
    """Paths in the source, relative to its root; wildcards as in Go's filepath.Match unless `literal`."""
    dest: str
    """Absolute; a trailing "/" says that it is a folder."""
    owner: str = ""
    """``user[:group]``, names resolved in `base`; empty is 0:0."""
    mode: str = ""
    """Octal or symbolic; empty keeps the source's."""
    excludes: tuple[str, ...] = ()
    parents: bool = False
    """Keep the folders of each path (``COPY --parents``)."""
    unpack: bool = False
    """Unpack a file that is a tar archive, as ADD does with local files."""
    literal: bool = False
    keep_owner: bool = False
    """Keep the source's owner when `owner` is empty (``COPY --from``)."""
    mtime: int | None = field(default=None, kw_only=True)
    """Unix time that everything copied, and every folder made for it, says it was modified at; None: the source's."""

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.base, self.source)

    def fields(self) -> Document:
        return {
            "paths": list(self.paths),
            "dest": self.dest,
            "owner": self.owner,
            "mode": self.mode,
            "excludes": list(self.excludes),
            "parents": self.parents,
            "unpack": self.unpack,
            "literal": self.literal,
            "keep_owner": self.keep_owner,
            **_mtime(self.mtime),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Mkdir(Node):
    """A folder with its missing parents. A folder that is there stays as it is; WORKDIR does this."""

    step = "MKDIR"
    base: Node
    path: str
    mode: int = 0o755
    owner: str = ""
    mtime: int | None = field(default=None, kw_only=True)
    """As of `Copy`."""

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.base,)

    def fields(self) -> Document:
        return {"path": self.path, "mode": self.mode, "owner": self.owner, **_mtime(self.mtime)}


@dataclass(frozen=True, eq=False, repr=False)
class Write(Node):
    """A file with given bytes; a heredoc of COPY is one, copied from there."""

    step = "WRITE"
    base: Node
    path: str
    data: bytes
    mode: int = 0o644
    owner: str = ""

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.base,)

    def fields(self) -> Document:
        data = base64.b64encode(self.data).decode("ascii")
        return {"path": self.path, "data": data, "mode": self.mode, "owner": self.owner}


@dataclass(frozen=True, eq=False, repr=False)
class Remove(Node):
    """A path, or everything a wildcard matches, taken away."""

    step = "REMOVE"
    base: Node
    path: str
    wildcard: bool = False
    missing_ok: bool = False

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.base,)

    def fields(self) -> Document:
        return {"path": self.path, "wildcard": self.wildcard, "missing_ok": self.missing_ok}


@dataclass(frozen=True, eq=False, repr=False)
class Link(Node):
    """A symbolic link at `path` that says `target`."""

    step = "LINK"
    base: Node
    path: str
    target: str
    owner: str = ""

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.base,)

    def fields(self) -> Document:
        return {"path": self.path, "target": self.target, "owner": self.owner}


@dataclass(frozen=True, eq=False, repr=False)
class Merge(Node):
    """Several filesystems on top of each other: the later wins, folders merge.

    ``COPY --link`` is one: of what is below, and a Copy onto nothing that knows nothing of it.
    """

    step = "MERGE"
    layers: tuple[Node, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return self.layers


@dataclass(frozen=True, eq=False, repr=False)
class Diff(Node):
    """What turns `lower` into `upper`, as a filesystem of its own."""

    step = "DIFF"
    lower: Node
    upper: Node

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.lower, self.upper)
