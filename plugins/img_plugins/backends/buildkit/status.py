"""What a daemon says of a running build, as our events: its vertexes are our steps, under our titles."""

from __future__ import annotations

import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from img.errors import StepFailed
from img.events import Progress, StepCached, StepDone, StepLog, StepStarted, Warning
from img.events import StepFailed as StepFailedEvent
from img.ir.nodes import Node
from img.ports import Host
from img_plugins.worker.limited import ended

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.lower import Graph

TAIL = 30
"""Lines of output that a failed step shows again."""
_CODE = re.compile(r"exit code: ([0-9]+)")
ACTIONS = {"extracting": "unpacking", "pushing": "pushing", "exporting": "exporting", "sending": "exporting"}


class Watch:
    """The events of one build, which may be several solves: each step is told of once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._graph: Graph | None = None
        self._groups: dict[str, str] = {}
        """By the digest of a vertex as the daemon has it: our op's."""
        self._started: dict[str, float] = {}
        self._over: set[str] = set()
        self._ended: dict[str, tuple[Node, Any]] = {}
        """Steps that were done when the last message came."""
        self._tails: dict[str, deque[bytes]] = {}
        self.ran: list[Node] = []
        """The steps that were not cached, as they ended."""
        self.failed: tuple[Node, str] | None = None
        """The step that failed first, and what the daemon says of it."""

    def follow(self, graph: Graph) -> None:
        self._graph = graph

    def take(self, response: Any) -> None:
        """Tell what one ``StatusResponse`` says. That a step is done is told with the next one: the daemon says it of a step
        whose inputs it has looked at, too, and then begins it again."""
        ended, self._ended = self._ended, {}
        for vertex in response.vertexes:
            self._vertex(vertex)
            for node in self._nodes(vertex.digest):
                ended.pop(node.digest, None)
        for node, vertex in ended.values():
            self._done(node, vertex)
        for log in response.logs:
            self._log(log)
        for status in response.statuses:
            self._progress(status)
        for warning in response.warnings:
            text = warning.short.decode("utf-8", "replace")
            self._host.emit(Warning(text, None, time.monotonic(), "", warning.url))

    def finish(self) -> None:
        """Nothing more will come of this solve."""
        ended, self._ended = self._ended, {}
        for node, vertex in ended.values():
            self._done(node, vertex)

    def _nodes(self, digest: str) -> list[Node]:
        if self._graph is None:
            return []
        return self._graph.nodes.get(self._groups.get(digest, digest), [])

    def _vertex(self, vertex: Any) -> None:
        if vertex.progressGroup.id:
            self._groups[vertex.digest] = vertex.progressGroup.id
        for node in self._nodes(vertex.digest):
            title, now = node.notes.title, time.monotonic()
            if not vertex.HasField("started") or (node.digest in self._over and not vertex.error):
                continue
            if vertex.cached:
                self._over.add(node.digest)
                if title:
                    self._host.emit(StepCached(node.digest, title, "BuildKit's cache", now))
                continue
            if node.digest not in self._started:
                self._started[node.digest] = now
                if title:
                    self._host.emit(StepStarted(node.digest, title, node.notes.place, now))
            if vertex.error:
                self._fail(node, vertex.error, now)
            elif vertex.HasField("completed"):
                self._ended[node.digest] = (node, vertex)
            else:
                self._ended.pop(node.digest, None)

    def _fail(self, node: Node, error: str, now: float) -> None:
        self._over.add(node.digest)
        if not self._host.cancelled and not _is_cancelled(error):
            self.failed = self.failed or (node, error)
        if node.notes.title:
            self._host.emit(StepFailedEvent(node.digest, node.notes.title, error, now))

    def _done(self, node: Node, vertex: Any) -> None:
        self._over.add(node.digest)
        self.ran.append(node)
        if node.notes.title:
            seconds = (vertex.completed.ToNanoseconds() - vertex.started.ToNanoseconds()) / 1e9
            self._host.emit(StepDone(node.digest, node.notes.title, seconds, time.monotonic()))

    def _log(self, log: Any) -> None:
        for node in self._nodes(log.vertex)[:1]:
            tail = self._tails.setdefault(node.digest, deque(maxlen=TAIL))
            if tail and not tail[-1].endswith(b"\n"):
                first, newline, rest = log.msg.partition(b"\n")
                tail[-1] = (tail[-1] + first + newline)[-65536:]
            else:
                rest = log.msg
            tail.extend(line + b"\n" if whole else line for line, whole in _lines(rest))
            now = time.monotonic()
            self._host.emit(StepLog(node.digest, "stderr" if log.stream == 2 else "stdout", log.msg, now))

    def _progress(self, status: Any) -> None:
        word = (status.name or status.ID).split(" ")[0]
        action = ACTIONS.get(word, "pulling" if self._nodes(status.vertex) else "exporting")
        step = next((node.digest for node in self._nodes(status.vertex)), "")
        self._host.emit(Progress(step, status.ID, action, status.current, status.total, time.monotonic()))

    def failure(self) -> StepFailed | None:
        """The step that failed, as an error with its place."""
        if self.failed is None:
            return None
        node, said = self.failed
        code = _CODE.search(said)
        title = node.notes.title or node.step
        lines = [line.rstrip(b"\n").decode("utf-8", "replace") for line in self._tails.get(node.digest, ())]
        if code is None:
            return StepFailed(f"{title}: {said}", place=node.notes.place, tail=tuple(lines))
        status = int(code[1])
        return StepFailed(
            f"{title} failed with {ended(status)}", status=status, tail=tuple(lines), place=node.notes.place
        )


def _lines(data: bytes) -> list[tuple[bytes, bool]]:
    """Lines, and whether each is whole."""
    *whole, rest = data.split(b"\n")
    return [(line, True) for line in whole] + ([(rest, False)] if rest else [])


def _is_cancelled(error: str) -> bool:
    return "context canceled" in error
