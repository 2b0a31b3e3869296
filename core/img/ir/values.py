"""The small values that nodes are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from img.errors import Place

if TYPE_CHECKING:
    from img.ir.nodes import Node

Pairs = tuple[tuple[str, str], ...]


class Network(StrEnum):
    """What a step's process sees of the network."""

    DEFAULT = "default"  # what the build as a whole says; the host's network unless told otherwise
    HOST = "host"
    NONE = "none"  # a namespace of its own with nothing but loopback
    SANDBOX = "sandbox"  # a namespace of its own that leads outside by a user-mode network, not to the host's loopback


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
    fresh: bool = False
    """It is made anew in every build, whatever the cache has."""


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
class Resources:
    """How much a step may use; 0 and empty are no limit. Outside the identity of nodes: a limit stops a step or slows it
    down, and what it leaves when it ends well is the same."""

    memory: int = 0
    """Bytes."""
    memory_swap: int = 0
    """Bytes of memory and swap together, -1 for any; 0: twice `memory` where the kernel counts swap, as docker has it."""
    cpu_quota: int = 0
    """Microseconds of processor time in each `cpu_period`."""
    cpu_period: int = 0
    """Microseconds; 0 is 100,000."""
    cpu_shares: int = 0
    """Weight beside other cgroups, 2 to 262,144; 1,024 is what a cgroup has that nobody weighed."""
    cpuset_cpus: str = ""
    """Processors by number, e.g. ``0-2,7``."""
    cpuset_mems: str = ""
    pids: int = 0
    """Processes and threads at one time."""
    timeout: float = 0
    """Seconds until the step's processes are killed."""

    def document(self) -> dict[str, int | float | str]:
        """The limits that are set, by name."""
        return {name: value for name in _RESOURCES if (value := getattr(self, name))}

    def within(self, other: Resources) -> Resources:
        """Both: of two limits of a kind the tighter one, of what has no order this one's."""
        mine, theirs = self.document(), other.document()
        joined: dict[str, Any] = {**theirs, **mine}
        for name in ("memory", "pids", "timeout"):
            if name in mine and name in theirs:
                joined[name] = min(getattr(self, name), getattr(other, name))
        if "cpu_quota" in mine and "cpu_quota" in theirs:
            tight = min((self, other), key=lambda one: one.cpu_quota / (one.cpu_period or CPU_PERIOD))
            joined |= {"cpu_quota": tight.cpu_quota, "cpu_period": tight.cpu_period}
        if "memory_swap" in joined and joined["memory_swap"] != -1:
            joined["memory_swap"] = max(joined["memory_swap"], joined.get("memory", 0))
        return Resources(**joined)


CPU_PERIOD = 100_000
"""Microseconds of a period in which processor time is counted, unless told otherwise."""

_RESOURCES = tuple(Resources.__dataclass_fields__)


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
    resources: Resources = Resources()
    """How much the process may use; outside the identity."""
