"""The limits of ``img build``: memory, processors, processes and time of every step, and the time of the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from img.errors import UsageError
from img.ir.values import CPU_PERIOD, Resources
from img.settings import seconds_of, size_of

LEAST_MEMORY = 6 << 20
"""As with docker: less does not even start a program."""

NUMBERS = {
    "cpu_quota": (1000, 1 << 40, "microseconds from 1000 on"),
    "cpu_period": (1000, 1_000_000, "microseconds, 1000 to 1000000"),
    "cpu_shares": (2, 262_144, "a weight, 2 to 262144"),
}
_SET = r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*"


def resources(given: Mapping[str, Any]) -> Resources:
    """What the options say of every step. Raises `UsageError`."""
    memory = _memory(given["memory"])
    cpu = {name: _number(name, given[name]) for name in NUMBERS}
    if given["cpus"]:
        if cpu["cpu_quota"] or cpu["cpu_period"]:
            raise UsageError("--cpus says what --cpu-quota and --cpu-period say", hint="leave out one of them")
        cpu["cpu_quota"] = quota(given["cpus"], "--cpus")
    if cpu["cpu_period"] and not cpu["cpu_quota"]:
        raise UsageError("--cpu-period limits nothing without --cpu-quota", hint="--cpus 1.5 says both")
    sets: dict[str, str] = {}
    for name in ("cpuset_cpus", "cpuset_mems"):
        sets[name] = given[name]
        if given[name] and not re.fullmatch(_SET, given[name]):
            raise UsageError(f"invalid {_flag(name)} {given[name]!r}", hint="numbers and ranges, e.g. 0-2,7")
    return Resources(
        memory=memory,
        memory_swap=_swap(given["memory_swap"], memory),
        cpu_quota=cpu["cpu_quota"],
        cpu_period=cpu["cpu_period"],
        cpu_shares=cpu["cpu_shares"],
        cpuset_cpus=sets["cpuset_cpus"],
        cpuset_mems=sets["cpuset_mems"],
        pids=_pids(given["pids_limit"]),
        timeout=seconds_of(given["step_timeout"], "--step-timeout"),
    )


def quota(text: str, name: str) -> int:
    """Microseconds of processor time in 100,000 for a number of processors. Raises `UsageError`."""
    try:
        cpus = float(text)
    except ValueError:
        cpus = -1.0
    if not 0.01 <= cpus <= 100_000:
        raise UsageError(f"invalid {name} {text!r}", hint="a number of processors from 0.01 on, e.g. 1.5")
    return round(cpus * CPU_PERIOD)


def _memory(text: str) -> int:
    memory = size_of(text, "--memory")
    if text and memory < LEAST_MEMORY:
        raise UsageError(f"--memory {text} is too little", hint="at least 6m")
    return memory


def _swap(text: str, memory: int) -> int:
    if not text:
        return 0
    both = -1 if text == "-1" else size_of(text, "--memory-swap")
    if not memory:
        raise UsageError("--memory-swap takes --memory", hint="it is memory and swap together")
    if both != -1 and both < memory:
        raise UsageError(
            f"--memory-swap {text} is less than --memory", hint="it is memory and swap together; -1 for any"
        )
    return both


def _pids(text: str) -> int:
    if text in ("", "-1", "0"):
        return 0
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError(f"invalid --pids-limit {text!r}", hint="a number of processes, or -1 for any")
    return int(text)


def _number(name: str, text: str) -> int:
    low, high, what = NUMBERS[name]
    if not text or text == "0":
        return 0
    if not re.fullmatch("[0-9]{1,15}", text) or not low <= int(text) <= high:
        raise UsageError(f"invalid {_flag(name)} {text!r}", hint=what)
    return int(text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
