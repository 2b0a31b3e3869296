"""Packing ahead: layers of the images that a build will write are compressed while its later steps run.

Steps mostly wait, for a network or on one core; packing takes the time that they leave, at a low priority. It changes when
a blob is made, never which: `Layers.blob` makes it, and who asks for it meanwhile waits for the same. What fails here fails
again, and is told, when the exporter asks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from img.errors import ImgError
from img.ir.nodes import Exec, Node
from img.ir.walk import chain
from img.outputs import IMAGES
from img.ports import Result, Snapshot

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from img.engine import Engine
    from img.ir.definition import Definition, Target

NICE = 10
"""Priority of the threads that pack (nice(2)): a step that wants the processor has it."""


class Ahead:
    """For one build. Use as a context manager: leaving it by an error drops what is not being packed yet."""

    def __init__(
        self, engine: Engine, definition: Definition, outputs: Sequence[tuple[str, Mapping[str, str]]]
    ) -> None:
        self._engine = engine
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        plain = any(kind in IMAGES and _plain(attrs) for kind, attrs in outputs)
        self._wanted = (
            frozenset(digest for one in definition.targets for digest in _alone(one)) if plain else frozenset()
        )

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=error is not None)

    def made(self, node: Node, result: Result) -> None:
        """Note that the solver has `node`. Returns at once."""
        if node.digest not in self._wanted or not isinstance(result, Snapshot):
            return
        with self._lock:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(1, "ahead", _give_way)
            self._pool.submit(self._pack, result.layers[-1])

    def _pack(self, id: str) -> None:
        try:
            if not self._engine.cancelled and self._engine.store.layers.unpacked(id):
                self._engine.store.layers.blob((id,))
        except ImgError:
            return


def _plain(attrs: Mapping[str, str]) -> bool:
    """Whether an output has its new layers packed in the default way."""
    packing = attrs.get("compression", "gzip"), attrs.get("compression-level", "")
    return packing == ("gzip", "") and attrs.get("rewrite-timestamp", "false").lower() in ("false", "0")


def _alone(target: Target) -> list[str]:
    """Digests of the steps whose one layer is a layer of the image by itself. Not of the last: its blob is asked for
    when it is done. Layers of files are left too, as a step that needs them unpacked would wait for the packing."""
    closing = frozenset(target.layers)
    nodes = chain(target.root)
    return [
        node.digest
        for below, node in pairwise(nodes[:-1])
        if isinstance(node, Exec) and node.digest in closing and (below is nodes[0] or below.digest in closing)
    ]


def _give_way() -> None:
    """Lower the priority of this thread, and so of those it starts."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
