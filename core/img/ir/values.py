"""The small values that nodes are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from img.errors import Place

if TYPE_CHECKING:
    from img.ir.nodes import Node

Pairs = tuple[tuple[str, str], ...]


class Network(StrEnum):
    """What a step's process sees of the network."""

    DEFAULT = "default"  # what the build as a whole says; the host's network unless told otherwise
    HOST = "host"
    NONE = "none"  # a namespace of its own with nothing but loopback


class Security(StrEnum):
    """How far a step's process is confined."""

    SANDBOX = "sandbox"
    INSECURE = "insecure"  # all capabilities of the builder, no seccomp filter


class Sharing(StrEnum):
    """What two steps that name one cache mount do at the same time."""

    SHARED = "shared"  # both write
    PRIVATE = "private"  # the second gets a fresh one
    LOCKED = "locked"  # the second waits


@dataclass(frozen=True, slots=True)
class Notes:
    """What people want to know of a node. Outside its identity: two nodes that differ only here are one node."""

    title: str = ""
    """How progress displays name the step, e.g. ``[build 2/5] RUN make``."""
    place: Place | None = None
    """Where in the build file it comes from."""
    group: str = ""
    """The part of the build file it belongs to, e.g. a stage's name: what ``--no-cache-filter`` names."""


@dataclass(frozen=True, slots=True)
class Bind:
    """Another node's files, seen by one step. Writes are discarded."""

    node: Node
    target: str
    path: str = "/"
    """Which path of `node` is mounted."""
    readonly: bool = True


@dataclass(frozen=True, slots=True)
class CacheDir:
    """A folder that outlives the build and is never part of the image."""

    id: str
    target: str
    sharing: Sharing = Sharing.SHARED
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    node: Node | None = None
    """What a new cache starts from."""
    path: str = "/"
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """Bytes of the user, in memory, as a file or an environment variable. Never in a key."""

    id: str
    target: str = ""
    """Absolute path of the file, or empty for an environment variable only."""
    env: str = ""
    mode: int = 0o400
    uid: int = 0
    gid: int = 0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Ssh:
    """A socket of the user's ssh agent."""

    id: str
    target: str
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A folder in memory for the time of one step."""

    target: str
    size: int = 0
    """Bytes; 0 is the kernel's default."""


Mount = Bind | CacheDir | Secret | Ssh | Tmpfs


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the machine for one step, by its name in the Container Device Interface (CDI)."""

    name: str
    """``vendor.com/class=name``, ``vendor.com/class=*``, or ``vendor.com/class`` for the class's default."""
    required: bool = False
    """Without it the step fails; else it runs without the device."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One resource limit of a step (``ulimit``): its name as in setrlimit(2), lower case, without ``RLIMIT_``."""

    name: str
    soft: int
    hard: int


HOSTNAME = "buildkitsandbox"
"""What a step's machine is called unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """Where and how tightly an Exec's process runs; the defaults are what a Dockerfile's RUN gets."""

    network: Network = Network.DEFAULT
    security: Security = Security.SANDBOX
    hostname: str = HOSTNAME
    hosts: Pairs = ()
    """Extra lines of /etc/hosts as (name, address)."""
    limits: tuple[Limit, ...] = field(default=())
    shm_size: int = 0
    """Bytes of /dev/shm; 0 is the backend's default of 64 MiB."""
