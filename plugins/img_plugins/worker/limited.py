"""What is said of a step that ran into a limit, or whose limits only a watchdog keeps."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from img.errors import StepFailed
from img.events import Warning
from img.ir.nodes import Exec
from img.ports import Host

Reply = Mapping[str, Any]
"""See `img.sandbox.client.Job.wait`."""

TIMED_OUT = 124
"""The status of a step that took too long, as timeout(1) has it."""


def title_of(node: Exec) -> str:
    """A step's name for messages."""
    return node.notes.title or f"RUN {' '.join(node.argv)}"


def ended(status: int) -> str:
    """How a step's process ended, in words. A shell whose program was killed ends with that code too."""
    if not 128 < status < 128 + 65:
        return f"exit code {status}"
    return f"exit code {status} (signal {status - 128})"


class Limited:
    """One step and its limits, for the backend that ran it."""

    def __init__(self, host: Host, node: Exec) -> None:
        self._host = host
        self._node = node

    def tell(self, reply: Reply) -> None:
        """Say aloud what the user would not expect of a step that ended well, or that was watched only."""
        title, place = title_of(self._node), self._node.notes.place
        if reply.get("watched"):
            self._warn(f"{title}: its limits are kept by a watchdog, which is coarse: {reply['watched']}")
        broke = reply.get("broke", {})
        if not reply["status"] and broke.get("what") == "memory":
            text = f"{title}: a process of it was killed for want of memory ({_memory(broke)}), and it went on"
            self._host.emit(Warning(text, place, monotonic()))

    def _warn(self, text: str) -> None:
        self._host.emit(Warning(text, self._node.notes.place, monotonic()))

    def failed(self, reply: Reply, tail: tuple[str, ...]) -> StepFailed | None:
        """The failure, if a limit is what the step failed of."""
        broke = reply.get("broke")
        if not broke:
            return None
        message, hint, status = _words(title_of(self._node), broke, reply["status"])
        return StepFailed(message, status=status, tail=tail, place=self._node.notes.place, hint=hint)


def _words(title: str, broke: Mapping[str, Any], status: int) -> tuple[str, str, int]:
    """Message, hint and status."""
    if broke["what"] == "timeout":
        time = duration(broke["limit"])
        return f"{title} was stopped after {time}: that is its limit", "give it longer: --step-timeout", TIMED_OUT
    if broke["what"] == "memory":
        return f"{title} ran out of memory: {_memory(broke)}", "give it more: --memory", status
    limit = broke["limit"]
    hint = "give it more: --pids-limit; or let it start fewer at a time, e.g. make -j2"
    if "peak" in broke:
        return f"{title} was stopped: it has {broke['peak']} processes, and its limit is {limit}", hint, status
    return f"{title} failed with exit code {status} at its limit of {limit} processes", hint, status


def _memory(broke: Mapping[str, Any]) -> str:
    peak = f", it had {size(broke['peak'])}" if broke.get("peak") else ""
    return f"its limit is {size(broke['limit'])}{peak}"


def size(count: int) -> str:
    """Bytes for people, in the unit in which they are a round number, or nearly."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"


def duration(seconds: float) -> str:
    """Seconds for people."""
    whole = int(seconds)
    if seconds < 60 or seconds != whole:
        return f"{seconds:g} s"
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if n)
