"""What a daemon says of a running build, as our events: its vertexes are our steps, under our titles."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from img.errors import BackendError, StepFailed
from img.events import Progress, StepCached, StepDone, StepLog, StepStarted, Warning
from img.events import StepFailed as StepFailedEvent
from img.ir.nodes import Exec, Node
from img.ports import Host
from img_plugins.worker.limited import ended

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.lower import Graph

TAIL = 30
"""Lines of output that a failed step shows again."""
_CODE = re.compile(r"exit code: ([0-9]+)")
_COMPLAINT = re.compile(
    r"runc run failed: unable to start container process: .*|exec \S+: (argument list too long|exec format error)$"
)
ACTIONS = {"extracting": "unpacking", "pushing": "pushing", "exporting": "exporting", "sending": "exporting"}


class Watch:
    """The events of one build, which may be several solves at once: each step is told of once, by the solve that began it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.lock = threading.Lock()
        """Held while one message is told."""
        self.started: set[str] = set()
        self.over: set[str] = set()
        self.tellers: dict[str, Solving] = {}
        """By the digest of a node: the solve that tells of it, since two may wait for one step."""
        self.ran: list[Node] = []
        """The steps that were not cached, as they ended."""

    def follow(self, graph: Graph) -> Solving:
        return Solving(self, graph)


class Solving:
    """What the daemon says of one solve."""

    def __init__(self, watch: Watch, graph: Graph) -> None:
        self._watch = watch
        self._host = watch.host
        self._graph = graph
        self._groups: dict[str, str] = {}
        """By the digest of a vertex as the daemon has it: our op's."""
        self._ended: dict[str, tuple[Node, Any]] = {}
        """Steps that were done when the last message came."""
        self._tails: dict[str, deque[bytes]] = {}
        self._failed: tuple[Node, str] | None = None
        """The step that failed first, and what the daemon says of it."""

    def take(self, response: Any) -> None:
        """Tell what one ``StatusResponse`` says. That a step is done is told with the next one: the daemon says it of a step
        whose inputs it has looked at, too, and then begins it again."""
        with self._watch.lock:
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
        """Nothing more will come of this solve: steps that it began and did not end are for others to tell of."""
        watch = self._watch
        with watch.lock:
            ended, self._ended = self._ended, {}
            for node, vertex in ended.values():
                self._done(node, vertex)
            left = [digest for digest, teller in watch.tellers.items() if teller is self and digest not in watch.over]
            for digest in left:
                del watch.tellers[digest]

    def _nodes(self, digest: str) -> list[Node]:
        return self._graph.nodes.get(self._groups.get(digest, digest), [])

    def _tells(self, node: Node) -> bool:
        return self._watch.tellers.setdefault(node.digest, self) is self

    def _vertex(self, vertex: Any) -> None:
        if vertex.progressGroup.id:
            self._groups[vertex.digest] = vertex.progressGroup.id
        for node in self._nodes(vertex.digest):
            if not vertex.HasField("started"):
                continue
            if vertex.error:
                self._note(node, vertex.error)
            if self._tells(node) and (node.digest not in self._watch.over or vertex.error):
                self._told(node, vertex, node.notes.title, time.monotonic())

    def _told(self, node: Node, vertex: Any, title: str, now: float) -> None:
        watch = self._watch
        if vertex.cached:
            watch.over.add(node.digest)
            if title:
                self._host.emit(StepCached(node.digest, title, "BuildKit's cache", now))
            return
        if node.digest not in watch.started:
            watch.started.add(node.digest)
            if title:
                self._host.emit(StepStarted(node.digest, title, node.notes.place, now))
        if vertex.error:
            watch.over.add(node.digest)
            if title:
                self._host.emit(StepFailedEvent(node.digest, title, vertex.error, now))
        elif vertex.HasField("completed"):
            self._ended[node.digest] = (node, vertex)
        else:
            self._ended.pop(node.digest, None)

    def _note(self, node: Node, error: str) -> None:
        if not self._host.cancelled and not _is_cancelled(error):
            self._failed = self._failed or (node, error)

    def _done(self, node: Node, vertex: Any) -> None:
        self._watch.over.add(node.digest)
        self._watch.ran.append(node)
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
            if not self._tells(node):
                continue
            now = time.monotonic()
            self._host.emit(StepLog(node.digest, "stderr" if log.stream == 2 else "stdout", log.msg, now))

    def _progress(self, status: Any) -> None:
        word = (status.name or status.ID).split(" ")[0]
        action = ACTIONS.get(word, "pulling" if self._nodes(status.vertex) else "exporting")
        step = next((node.digest for node in self._nodes(status.vertex)), "")
        self._host.emit(Progress(step, status.ID, action, status.current, status.total, time.monotonic()))

    def failure(self) -> StepFailed | BackendError | None:
        """The step that failed, as an error with its place."""
        if self._failed is None:
            return None
        node, said = self._failed
        code = _CODE.search(said)
        title = node.notes.title or node.step
        lines = [line.rstrip(b"\n").decode("utf-8", "replace") for line in self._tails.get(node.digest, ())]
        if code is None:
            return StepFailed(f"{title}: {said}", place=node.notes.place, tail=tuple(lines))
        unstarted = _unstarted(node, lines)
        if unstarted is not None:
            return unstarted
        status = int(code[1])
        return StepFailed(
            f"{title} failed with {ended(status)}", status=status, tail=tuple(lines), place=node.notes.place
        )


def _unstarted(node: Node, lines: list[str]) -> StepFailed | BackendError | None:
    """Why a process never ran: its runtime says so on the step's output, where nothing else can be then."""
    found = _COMPLAINT.match(lines[0]) if len(lines) == 1 and isinstance(node, Exec) else None
    if found is None or not isinstance(node, Exec):
        return None
    from img_plugins.worker.complaints import classified
    from img_plugins.worker.exec import not_started

    stage, number, text, name = classified(found[0], "BuildKit")
    if stage == "exec":
        return not_started(node, stage, number, text, name)
    return StepFailed(f"{node.notes.title or node.step} can't be started: {text}", place=node.notes.place)


def _lines(data: bytes) -> list[tuple[bytes, bool]]:
    """Lines, and whether each is whole."""
    *whole, rest = data.split(b"\n")
    return [(line, True) for line in whole] + ([(rest, False)] if rest else [])


def _is_cancelled(error: str) -> bool:
    return "context canceled" in error
