"""What the engine asks of plugins. One Protocol for each kind of offer, with its contract in prose.

An offer's `target` is called with one argument, the `Host`, and must return an object that keeps the protocol of its
kind. All methods are plain blocking calls; the solver runs them in threads, several at once, so implementations must
be safe to call from several threads. A method that may take long must look at `Host.cancelled` or register with
`Host.on_cancel`. Errors are `img.errors`, always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from img.events import Event
from img.ir.definition import Definition, Target
from img.ir.nodes import Exec, Node, Source
from img.ir.values import Confinement
from img.ports.caches import CacheFound as CacheFound
from img.ports.caches import CacheMounts as CacheMounts
from img.ports.caches import CachePlugin as CachePlugin

if TYPE_CHECKING:
    from img.oci.spec import Descriptor
    from img.store.store import Store

Json = Any


class Sandbox(Protocol):
    """The engine's end of the helper process (`img.sandbox.client.Sandbox` is the real one)."""

    rung: str
    """``overlay`` (rootful), ``userns`` (user namespace with a subuid range), ``copy`` (chroot over
    a plain copy, as uid 0 without namespaces), or ``none``."""

    def call(self, function: str, *args: Json, fds: Sequence[int] = ()) -> Json:
        """Run ``"package.module:function"`` in a forked child inside the helper's namespaces, and return its result.

        Arguments and result are JSON values. `fds` arrive as the keyword argument ``fds``, a list of open file
        descriptors, which the child closes. An `ImgError` raised there is raised here.
        """


class Host(Protocol):
    """What a plugin object is given of the running engine."""

    @property
    def store(self) -> Store: ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings by name, e.g. ``network``; environment variables never reach plugins any other way."""

    @property
    def sandbox(self) -> Sandbox:
        """Started at the first use."""

    def emit(self, event: Event) -> None:
        """Put an event on the build's queue. Never blocks, never raises."""

    @property
    def cancelled(self) -> bool: ...

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once when the build is cancelled (at once if it is already). Returns its removal."""

    def context(self, name: str) -> Path:
        """The folder of the local context `name`. Raises `UsageError` for an unknown name."""

    @property
    def cache_mounts(self) -> CacheMounts | None:
        """Where cache mounts come from and go to, if the build says so."""

    def load(self, kind: str, name: str) -> Any:
        """The plugin object offered as (kind, name), made once per session. Raises `PluginError`."""

    def credentials(self, host: str, scope: str = "") -> tuple[str, str] | None:
        """User name and password for a registry host, and a repository there, from the `img_credentials` hook."""

    def secret(self, id: str) -> bytes | None:
        """The bytes of the secret that the build was given under `id`; None if it was given none.

        They may be handed to a step in memory, and go nowhere else. Raises `UsageError` if they can't be read.
        """

    def ssh(self, id: str) -> str | None:
        """Path of the socket of the ssh agent that the build was given under `id`; None if it was given none."""


# --- what a step yields -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A filesystem: layers from the bottom up, each named by its id in the store."""

    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine, seen through ignore rules: what a ``local`` source yields. Never written to."""

    path: str
    ignore: tuple[str, ...] = ()
    """Patterns of an ignore file in order, as they stand after reading (`img.files.patterns`)."""
    name: str = "context"
    """The context's name, for messages."""


Result = Snapshot | Folder


# --- frontend ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FrontendRequest:
    """What `img build` was asked to build, as far as a frontend must know."""

    file: str
    """Name of the build file, for messages."""
    text: bytes
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platforms: tuple[str, ...] = ()
    """Empty: the machine's own."""
    build_platform: str = "linux/amd64"
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Named contexts as given: name → folder, URL, ``docker-image://…`` or ``oci-layout://…``."""
    confinement: Confinement = Confinement()
    """What every step gets that does not say otherwise: hosts, limits, size of /dev/shm, network."""
    allow: frozenset[str] = frozenset()
    """Entitlements that were granted: ``security.insecure``, ``network.host``, ``device`` or ``device=NAME``."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the engine knows of the file: ``path`` is its path in the context, empty if it lies elsewhere. ``ignore`` is the
    text of the ignore file beside a build file that lies elsewhere, ``ignore_file`` its name (`img.files.ignoring`)."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What a frontend learns of an image: a source node pinned to it, and its configuration (config.md)."""

    source: Source
    config: Mapping[str, Json]
    layers: int
    """How many layers it has."""


class Resolver(Protocol):
    """What a frontend may ask of the world while it makes a graph. Answers are recorded, so that a later build can
    tell whether the same file would give the same graph."""

    def image(self, ref: str, platform: str) -> BaseImage:
        """The image `ref` (as written in the file) for `platform`. Raises `RegistryError` and `UsageError`."""

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        """Bytes of a small file of a context of files, None if it is not there. At most 4 MiB."""

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        """What the named context `name` stands for: an image, or a source of files; None if the build has none of that
        name. Raises `UsageError` for a context that is not one, and what its source raises."""

    def modified(self, context: str) -> int | None:
        """Unix time at which the source of a context was last changed (a git commit's time); None if it has none.
        `context` is a context's name, or the address of a git repository or of a file, as ADD takes them."""


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a question about a build file: for people, as JSON, and as an exit code."""

    text: str
    document: Json
    status: int = 0


class Frontend(Protocol):
    """Turns a build file into a `Definition`. Pure but for the resolver: same request and answers, same result."""

    calls: tuple[str, ...]
    """Questions that `call` can answer, e.g. ``check``, ``outline``, ``targets``, ``describe``."""

    def load(self, request: FrontendRequest, resolver: Resolver) -> Definition:
        """Raises `FrontendError` with the place of each independent problem."""

    def call(self, name: str, request: FrontendRequest, resolver: Resolver) -> Report:
        """Answer one of `calls` about the file, without building it. Raises `FrontendError` for files that can't be
        read so far, and `UsageError` for another name."""


# --- source --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pin:
    """What a source stands for right now. Equal keys promise equal files."""

    key: str
    """Text that goes into cache keys, e.g. a manifest digest with the platform."""
    words: str = ""
    """The same for people."""


class SourcePlugin(Protocol):
    """Files from outside, for one scheme (the offer's name)."""

    def pin(self, source: Source) -> Pin | None:
        """The cheapest stable identity; None if the source has none as a whole (local: content is keyed per use)."""

    # A source whose things have a time of their own also has ``modified(source) -> int | None``: Unix time of the last
    # change (a git commit's, an HTTP Last-Modified).

    def fetch(self, source: Source) -> Result:
        """The files. For images only descriptors: layers stay remote until a form of them is asked for."""


class ImageSource(SourcePlugin, Protocol):
    """A source whose things are images. Wherever an image may be named (FROM, ``from:``, a named context), the address
    ``SCHEME://REST`` is one of the source offered as SCHEME: nothing more is needed than `resolve`."""

    def resolve(self, ref: str, platform: str) -> BaseImage:
        """See `Resolver.image`. `ref` is what follows ``SCHEME://``. The node it returns has the attribute ``platform``: by
        that images are told from folders. Asked in every build, so it must be quick: what takes long is for `fetch`."""

    # What follows is for sources of images that are registries, or that leave layers where they are.

    def document(self, ref: str, digest: str = "") -> tuple[str, bytes]:
        """Media type and bytes of what `ref` stands for, or of another document of its repository. Raises
        `RegistryError`, `CorruptBlob`."""

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """A stream of the blob's bytes from `offset` on, from where it came (`origin` is what `fetch` left in the store's
        layer row). The descriptor's size may be less than the blob's: no byte behind it is needed.

        The caller verifies the digest. Raises `RegistryError`.
        """


# --- backend -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend works here. `reason` says what it runs on, or what is missing; `remedy` what would help."""

    ok: bool
    reason: str
    remedy: str = ""


class Worker(Protocol):
    """Executes one instruction at a time."""

    @property
    def abilities(self) -> frozenset[str]:
        """What it can do here beyond plain steps on files: names of `img.abilities`. Asked for after `probe` only, and
        before anything runs: a build that needs more fails at once."""

    def probe(self) -> Availability:
        """Try, cheaply, whether this backend works here. Never raises."""

    def run(self, node: Node, inputs: Sequence[Result]) -> Snapshot:
        """Make `node` from the results of its inputs (in the order of `node.inputs`) and return its filesystem.

        On any error nothing is left behind: no process, no mount, no file but in the store's tmp. Raises
        `StepFailed` if the step's process failed, `BackendError` if a promise can't be kept, `FileError` for
        paths that are wrong, `Cancelled`.
        """


class GraphBuild(NamedTuple):
    """What a graph backend is asked for."""

    definition: Definition
    fresh: Callable[[Node], bool]
    """Says of a node that it must not be taken from a cache."""
    results: bool = True
    """Whether the targets' filesystems are wanted in the store; else only what `outputs` say."""
    outputs: Sequence[Mapping[str, str]] = ()
    """Outputs whose type is the backend's name: exporters of its own, with their attributes."""
    cache_from: Sequence[Mapping[str, str]] = ()
    cache_to: Sequence[Mapping[str, str]] = ()


class Made(NamedTuple):
    """What a graph backend has done."""

    snapshots: tuple[Snapshot, ...]
    """One for each target, if they were wanted. Above its first node (`img.ir.walk.chain`), each of a target's nodes has
    added as many layers as its `img.ir.walk.width`."""
    ran: tuple[Node, ...]
    """The nodes that were not cached."""
    exported: tuple[Exported, ...] = ()
    """One for each of the outputs."""


class GraphBackend(Protocol):
    """Takes the whole definition. Used only when it is asked for by name: what a build is given (its files, its secrets)
    leaves this process for it."""

    @property
    def abilities(self) -> frozenset[str]:
        """As of `Worker`."""

    def probe(self) -> Availability: ...

    def solve(self, build: GraphBuild) -> Made:
        """Build every target. What the backend can't do is refused before anything runs, with the step's place. Raises
        what `Worker.run` raises, and `UsageError` for outputs and caches that it does not know."""


Executor = Callable[[Exec, Snapshot], Snapshot]


# --- exporter ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Export:
    """One finished target: its description and its filesystem, with the time each new layer was first made."""

    target: Target
    snapshot: Snapshot
    groups: tuple[tuple[str, ...], ...]
    """Layers of the image bottom up; each group of store layer ids becomes one layer."""
    created: tuple[str, ...]
    """RFC 3339 time of each group that is not the base's, bottom up."""


class Exported(NamedTuple):
    """What an exporter has done: one line for people, which goes on after ``Successfully exported``, and facts for
    programs (``--metadata-file``), by the names that BuildKit gives them: ``containerimage.digest``,
    ``containerimage.config.digest``, ``containerimage.descriptor``, ``image.name``."""

    line: str
    facts: Mapping[str, Json]


class Exporter(Protocol):
    """Puts finished targets somewhere."""

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        """Write the images. `attrs` are those of ``--output type=NAME,…`` (``dest``, ``name``, …), checked here.

        All or nothing: on error nothing half-written is left. Raises `UsageError` for
        an unknown or missing attribute, `RegistryError`, `StoreError`.
        """


# --- registries ----------------------------------------------------------------------------------------------------


class Registries(Protocol):
    """Registries as the commands see them; offered as ``distribution``."""

    def pull(self, name: str, platforms: Sequence[str] = (), every: bool = False) -> Descriptor:
        """Fetch an image into the store under its name, byte for byte; of an index the manifests for `platforms` (none:
        the machine's own) or `every` one. Raises `RegistryError`, `CorruptBlob`, `UsageError`, `LayerError`."""

    def login(self, server: str, user: str, password: str) -> str:
        """Try a secret at a registry (empty: Docker Hub), and keep it; returns where, in words. Raises
        `Unauthorized`, `RegistryError`, `UsageError`."""

    def logout(self, server: str) -> bool:
        """Forget what `login` kept; returns whether there was anything."""

    def check(self, name: str) -> Report:
        """What is used to speak to a registry or to that of an image name, and whether it works (else status 1)."""


# --- reporter ------------------------------------------------------------------------------------------------------


class Reporter(Protocol):
    """Shows events. Runs on a thread of its own; an exception switches it off and is shown once."""

    def handle(self, event: Event) -> None: ...

    def close(self) -> None:
        """No more events will come: leave the terminal as it was."""
