"""What this run of img counts on: names of layers, blobs and kept folders that it has looked at or made.

Whoever asks whether a thing is there means to use it. So asking notes its name, and what is noted is not taken to make
room (`img.store.limit`) before the run ends. Asking and taking exclude each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Using:
    """See the module. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._names: set[str] = set()

    def note(self, *names: str) -> None:
        """These are used from now on."""
        with self._lock:
            self._names.update(names)

    def there(self, name: str, path: Path) -> bool:
        """Whether `path` is there; it is used from now on under `name`."""
        with self._lock:
            self._names.add(name)
            return path.exists()

    @contextmanager
    def unused(self, names: Iterable[str]) -> Iterator[frozenset[str]]:
        """Those of `names` that are not used; nobody can begin to use one until the block ends."""
        with self._lock:
            yield frozenset(names) - self._names

    def clear(self) -> None:
        """Nothing is used any more."""
        with self._lock:
            self._names.clear()
