"""How a step is done, beside what it does: how much it may use, how long it may take, how often it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from img.errors import FrontendError, Place, UsageError
from img.ir.values import CPU_PERIOD
from img.ir.values import Resources as Limits
from img.settings import seconds_of, size_of
from img_frontends.document.instructions import at
from img_frontends.document.model import Add, Resources, Run, Setting, Step

T = TypeVar("T")

MEMORY = 6 << 20
"""The least that a program can start with."""
RETRIES = 20


def promises(step: Step) -> dict[str, Any]:
    """What the instruction of `step` gets: its fields ``retry``, ``resources`` and ``fresh``, if the step says any.
    Raises `FrontendError` for values out of bounds, and for acts that have no such thing."""
    found: dict[str, Any] = {}
    if not step.cache:
        if isinstance(step.act, Setting):
            raise FrontendError(f"{step.act.name} has no cache", hint="leave it out", place=at(step, "cache"))
        found["fresh"] = True
    if step.timeout or step.resources is not None:
        if not isinstance(step.act, Run):
            name = "timeout" if step.timeout else "resources"
            raise FrontendError(f"only a run has {name}", hint="leave it out", place=at(step, name))
        found["resources"] = _limits(step)
    if step.retry:
        _check_retry(step)
        found["retry"] = step.retry
    return found


def _check_retry(step: Step) -> None:
    place = at(step, "retry")
    remote = isinstance(step.act, Add) and any("://" in path or path.startswith("git@") for path in step.act.paths)
    if not (isinstance(step.act, Run) or remote):
        hint = "leave it out: nothing else fails at one time and not at another"
        raise FrontendError("only a run, or an add from a URL, has retry", hint=hint, place=place)
    if step.retry > RETRIES:
        raise FrontendError(f"retry is at most {RETRIES}", hint="repair what fails so often", place=place)


def _limits(step: Step) -> Limits:
    wanted = step.resources or Resources()
    memory = _read(wanted.memory, size_of, "memory", at(wanted, "memory"))
    if wanted.memory and memory < MEMORY:
        raise FrontendError(f"memory {wanted.memory} is too little", hint="at least 6m", place=at(wanted, "memory"))
    return Limits(
        memory=memory,
        cpu_quota=_read(wanted.cpus, _quota, "cpus", at(wanted, "cpus")),
        pids=wanted.pids,
        timeout=_read(step.timeout, seconds_of, "timeout", at(step, "timeout")),
    )


def _quota(text: str, name: str) -> int:
    try:
        cpus = float(text or 0)
    except ValueError:
        cpus = -1.0
    if text and not 0.01 <= cpus <= 100_000:
        raise UsageError(f"invalid {name} {text!r}", hint="a number of processors from 0.01 on; no variables")
    return round(cpus * CPU_PERIOD)


def _read(text: str, read: Callable[[str, str], T], name: str, place: Place) -> T:
    """A value by one of the readers of settings; its errors get their place."""
    try:
        return read(text, name)
    except UsageError as error:
        raise FrontendError(error.message, hint=error.hint, place=place) from None
