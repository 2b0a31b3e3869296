"""`FakeHost`: an `img.ports.Host` without an engine. Its store is real, its sandbox is this process."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from img.errors import PluginError, UsageError
from img.events import Event, Progress
from img.ports import CacheMounts, Sandbox
from img.store.store import Store

if TYPE_CHECKING:
    from img.oci.spec import Descriptor


class FakeSandbox:
    """`img.ports.Sandbox` in this process: functions are called where they are, without namespaces."""

    rung = "none"

    def __init__(self) -> None:
        self.called: list[str] = []

    def call(self, function: str, *args: Any, fds: Sequence[int] = ()) -> Any:
        self.called.append(function)
        module, _, attribute = function.partition(":")
        keywords = {"fds": list(fds)} if fds else {}
        return getattr(importlib.import_module(module), attribute)(*args, **keywords)


class FakeHost:
    """What a plugin's object is made with. Everything it can be asked for is an argument or an attribute.

    `plugins` has objects, or makers that take the host, by (kind, name).
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, str] | None = None,
        plugins: Mapping[tuple[str, str], Any] | None = None,
    ) -> None:
        self.settings = dict(settings or {})
        self.plugins = dict(plugins or {})
        self.sandbox: Sandbox = FakeSandbox()
        self.events: list[Event] = []
        self.contexts: dict[str, Path] = {}
        self.logins: dict[str, tuple[str, str]] = {}
        self.secrets: dict[str, bytes] = {}
        self.agents: dict[str, str] = {}
        self.cache_mounts: CacheMounts | None = None
        self._root = root
        self._store: Store | None = None
        self._made: dict[tuple[str, str], Any] = {}
        self._stop = threading.Event()
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def store(self) -> Store:
        """A real one, in `root`; `close` ends it."""
        if self._store is None:
            self._store = Store(self._root, self)
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def progress(self, id: str, action: str, current: int, total: int) -> None:
        """What the store tells of transfers."""
        self.emit(Progress("", id, action, current, total, 0.0))

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        """As if the build were cancelled."""
        self._stop.set()
        for callback in list(self._callbacks.values()):
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self._callbacks[token] = callback
        if self.cancelled:
            callback()

        def forget() -> None:
            self._callbacks.pop(token, None)

        return forget

    def context(self, name: str) -> Path:
        if name not in self.contexts:
            raise UsageError(f"there is no context named {name!r}")
        return self.contexts[name]

    def load(self, kind: str, name: str) -> Any:
        if (kind, name) not in self._made:
            if (kind, name) not in self.plugins:
                raise PluginError(f"there is no {kind} named {name!r}")
            known = self.plugins[kind, name]
            self._made[kind, name] = known(self) if isinstance(known, type) else known
        return self._made[kind, name]

    def credentials(self, host: str, scope: str = "") -> tuple[str, str] | None:
        return self.logins.get(host)

    def secret(self, id: str) -> bytes | None:
        return self.secrets.get(id)

    def ssh(self, id: str) -> str | None:
        return self.agents.get(id)

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """A layer's bytes from the source, or the cache, that `plugins` has."""
        kind, name = ("cache", origin["cache"]) if "cache" in origin else ("source", origin["scheme"])
        plugin = self.load(kind, name)
        stream: IO[bytes] = (
            plugin.open_blob(origin, descriptor, offset) if offset else plugin.open_blob(origin, descriptor)
        )
        return stream


if TYPE_CHECKING:
    from img.ports import Host

    _host: Host = FakeHost(Path())
