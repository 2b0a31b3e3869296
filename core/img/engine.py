"""The running engine: what plugins, the store and the solver are given of each other (`img.ports.Host`)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from img.errors import BackendError, Cancelled, ImgError, PluginError, UsageError, in_words
from img.events import Event, Progress
from img.plugin.registry import Registry
from img.store.store import Store

if TYPE_CHECKING:
    from img.agents import Agents
    from img.ir.nodes import Source
    from img.oci.spec import Descriptor
    from img.ports import CacheMounts, Pin, Result, Sandbox
    from img.secrets import SecretSource

SILENCE = 0.1
"""Seconds between two progress events of one transfer."""


class Engine:
    """One session's engine. Cheap to make; the store opens, plugins load and the sandbox starts at first use."""

    def __init__(self, root: Path, settings: Mapping[str, str], registry: Registry) -> None:
        self.settings = dict(settings)
        self.registry = registry
        self.contexts: dict[str, Path] = {}
        self.given: Mapping[str, str] = {}
        """Named contexts as the request has them, by their normal names; `contexts` gets the folder of each that is used."""
        self.origins: dict[str, Source] = {}
        """Where contexts came from that are not folders of this machine."""
        self.secrets: dict[str, SecretSource] = {}
        self.agents: dict[str, tuple[str, ...]] = {}
        self.logins: Mapping[str, tuple[str, str]] = {}
        """User and password by registry host, or by host and the beginning of a repository's path: before all others."""
        self.sink: Callable[[Event], None] = lambda event: None
        self._root = root
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._sandbox: Any = None
        self._starting = threading.Lock()
        self._plugins: dict[tuple[str, str], Any] = {}
        self._credentials: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._cancelled = threading.Event()
        self._told: dict[str, float] = {}
        self._asking = threading.Lock()
        self._printed: dict[SecretSource, bytes] = {}
        self._agents: Agents | None = None
        self.cache_mounts: CacheMounts | None = None
        self.lost: set[tuple[tuple[str, str], ...]] = set()
        """Where remote caches were that broke in this build; nothing more is asked of them."""
        self.busy = False
        """Whether the solver runs: it notices a cancellation itself and ends well."""

    # --- what is shared ------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        with self._lock:
            if self._store is None:
                self._store = Store(self._root, self)
            return self._store

    @property
    def sandbox(self) -> Sandbox:
        with self._starting:
            if self._sandbox is None:
                from img.sandbox.client import Sandbox as Real
                from img.sandbox.client import SandboxError

                try:
                    self._sandbox = Real.start(paths=[path for path in sys.path if path])
                except (SandboxError, OSError) as error:
                    hint = "it is this Python run again: look for a limit of processes or memory"
                    raise BackendError(f"the sandbox process can't be started: {error}", hint=hint) from error
            sandbox: Sandbox = self._sandbox
            return sandbox

    def warm(self) -> None:
        """Start the sandbox beside what the caller does next: it will be wanted soon. What fails here fails again, and
        is told, when it is used."""

        def start() -> None:
            try:
                _ = self.sandbox
            except Exception:
                return

        if self._sandbox is None:
            threading.Thread(target=start, name="sandbox", daemon=True).start()

    def load(self, kind: str, name: str) -> Any:
        """The plugin object offered as (kind, name); made once."""
        with self._lock:
            if (kind, name) not in self._plugins:
                make = self.registry.load(kind, name)
                title = self.registry.title(kind, name)
                try:
                    made = make(self)
                except ImgError:
                    raise
                except (Exception, SystemExit) as error:
                    raise PluginError(f"{title} can't be made: {in_words(error)}") from error
                if not self.registry.is_ours(kind, name):
                    from img.plugin.guard import guarded

                    made = guarded(made, kind, title)
                self._plugins[kind, name] = made
            return self._plugins[kind, name]

    def context(self, name: str) -> Path:
        """The folder of a local context."""
        if name not in self.contexts:
            raise UsageError(f"there is no context named {name!r}")
        return self.contexts[name]

    def credentials(self, host: str, scope: str = "") -> tuple[str, str] | None:
        """User name and password for the repository `scope` of `host`; plugins are asked once."""
        for end in range(len(parts := [host, *filter(None, scope.split("/"))]), 0, -1):
            if (login := self.logins.get("/".join(parts[:end]))) is not None:
                return login
        with self._lock:
            if (host, scope) not in self._credentials:
                self._credentials[host, scope] = self.registry.first("img_credentials", host=host, scope=scope)
            return self._credentials[host, scope]

    def secret(self, id: str) -> bytes | None:
        """See `img.ports.Host`. A command runs once a build."""
        source = self.secrets.get(id)
        if source is None:
            return None
        from img.secrets import read_secret

        if source.kind != "command":
            return read_secret(id, source, self.on_cancel)
        with self._asking:
            if source not in self._printed:
                self._printed[source] = read_secret(id, source, self.on_cancel)
            return self._printed[source]

    def ssh(self, id: str) -> str | None:
        """See `img.ports.Host`."""
        paths = self.agents.get(id)
        if not paths:
            return None
        with self._asking:
            if self._agents is None:
                from img.agents import Agents

                self._agents = Agents()
            return self._agents.socket(id, paths)

    def _forget_grants(self) -> None:
        """Let go of secrets and agents."""
        with self._asking:
            self._printed.clear()
            if self._agents is not None:
                self._agents.close()
                self._agents = None

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """A remote layer's bytes, from the source plugin or the cache that made it known."""
        if "cache" in origin:
            from img.solver.watched import Watched

            return Watched(self, origin, descriptor, offset)
        source = self.load("source", origin["scheme"])
        where = (offset,) if offset else ()  # a plugin may be older than the question
        stream: IO[bytes] = source.open_blob(origin, descriptor, *where)
        return stream

    # --- events --------------------------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Hand one event to the observers of the running build."""
        self.sink(event)

    def progress(self, id: str, action: str, current: int, total: int) -> None:
        """Tell of a transfer, but not more often than people can read."""
        now = time.monotonic()
        if current < total and now - self._told.get(id, 0.0) < SILENCE:
            return
        self._told[id] = now
        self.emit(Progress("", id, action, current, total, now))

    # --- the end -------------------------------------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop everything that runs. Safe from any thread, also twice."""
        self._cancelled.set()
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raises `Cancelled` if the build was cancelled."""
        if self.cancelled:
            raise Cancelled

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Register `callback`; the returned function takes it away again."""
        token = object()
        with self._lock:
            self._callbacks[token] = callback
        if self.cancelled:
            callback()
        return lambda: self._forget(token)

    def _forget(self, token: object) -> None:
        with self._lock:
            self._callbacks.pop(token, None)

    def resume(self) -> None:
        """Go on after a run that ended in an error, in the same build."""
        self._cancelled.clear()

    def reset(self) -> None:
        """Be ready for the next build of the same session."""
        self._forget_grants()
        self._cancelled.clear()
        self.lost.clear()
        self.cache_mounts = None
        self._told.clear()

    def close(self) -> None:
        """End the run: sweep the store's tmp, stop the sandbox, end agents."""
        self._forget_grants()
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None
        with self._starting:
            if self._sandbox is not None:
                self._sandbox.close()
                self._sandbox = None


class Sources:
    """The source plugins as the look-up wants them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pin(self, node: Source) -> Pin | None:
        pin: Pin | None = self._asked(node, "pin")
        return pin

    def fetch(self, node: Source) -> Result:
        result: Result = self._asked(node, "fetch")
        return result

    def _asked(self, node: Source, question: str) -> Any:
        ask = getattr(self._engine.load("source", node.scheme), question)
        if not node.retry:
            return ask(node)
        from img.solver.again import again

        return again(node, self._engine, lambda: ask(node))
