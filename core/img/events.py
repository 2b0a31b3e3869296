"""What happens during a build, as values on a queue. An observer that is slow or fails can't hurt the build.

Steps are named by the digest of their node. Times are seconds of `time.monotonic`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from img.errors import Place


class BuildStarted(NamedTuple):
    """The graph is known; `steps` is (digest, title) in the order of the build file."""

    steps: tuple[tuple[str, str], ...]
    time: float


class StepStarted(NamedTuple):
    step: str
    title: str
    place: Place | None
    time: float
    why: str = ""
    """What changed since the last build, so that it has to run; empty for a first build."""


class StepCached(NamedTuple):
    """There is nothing to do for the step: its result is there, or nobody needs it, or it is an image that is known by its
    digest and fetched when its bytes are wanted. `words` says in one line which."""

    step: str
    title: str
    words: str
    time: float


class StepLog(NamedTuple):
    """Bytes the step's process wrote; not cut at line ends."""

    step: str
    stream: Literal["stdout", "stderr"]
    data: bytes
    time: float


class Progress(NamedTuple):
    """How far a transfer or other countable work is. `total` is 0 while unknown. `id` is unique within the build."""

    step: str
    id: str
    action: str
    """A word: ``pulling``, ``unpacking``, ``pushing``, ``exporting``."""
    current: int
    total: int
    time: float


class Warning(NamedTuple):
    message: str
    place: Place | None
    time: float
    rule: str = ""
    """The check that says so; the command line shows those at the end, so only reporters for programs print them."""
    url: str = ""


class StepDone(NamedTuple):
    step: str
    title: str
    seconds: float
    time: float


class StepFailed(NamedTuple):
    step: str
    title: str
    message: str
    time: float


class StepRetried(NamedTuple):
    """The step failed, left nothing behind, and is done again: attempt `attempt` of `attempts`, `pause` seconds from now."""

    step: str
    title: str
    message: str
    attempt: int
    attempts: int
    pause: float
    time: float


class Note(NamedTuple):
    """One line for people: the rung in use, an image's name and digest."""

    message: str
    time: float


class BuildDone(NamedTuple):
    """The last event. `ok` is False after an error or a cancellation."""

    ok: bool
    seconds: float
    time: float


Event = (
    BuildStarted
    | StepStarted
    | StepCached
    | StepLog
    | Progress
    | Warning
    | StepDone
    | StepFailed
    | StepRetried
    | Note
    | BuildDone
)
