"""Limits on the command line."""

from __future__ import annotations

import pytest

from img.errors import UsageError
from img.ir.values import Resources
from img.settings import seconds_of
from img_cli.commands.request import confinement
from img_cli.options import DEFAULTS, parse_build


def _resources(*words: str) -> Resources:
    given = parse_build([*words, "."])
    assert given is not None
    return confinement({**DEFAULTS, **given}).resources


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), Resources()),
        (("-m", "2g", "--memory-swap=-1"), Resources(memory=2 << 30, memory_swap=-1)),
        (("--cpus", "1.5"), Resources(cpu_quota=150_000)),
        (("--cpu-quota", "5000", "--cpu-period", "10000"), Resources(cpu_quota=5000, cpu_period=10_000)),
        (("-c", "2", "--cpuset-cpus", "0-2,7", "--cpuset-mems", "0"), Resources(0, 0, 0, 0, 2, "0-2,7", "0")),
        (("--pids-limit", "64", "--step-timeout", "1h30m"), Resources(pids=64, timeout=5400)),
        (("--pids-limit=-1", "--step-timeout", "0"), Resources()),
    ],
)
def test_what_is_said(words: tuple[str, ...], wanted: Resources) -> None:
    assert _resources(*words) == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--memory", "1m"), "--memory 1m is too little"),
        (("--memory", "many"), "invalid --memory 'many'"),
        (("--memory-swap", "1g"), "--memory-swap takes --memory"),
        (("-m", "2g", "--memory-swap", "1g"), "--memory-swap 1g is less than --memory"),
        (("--cpus", "0"), "invalid --cpus '0'"),
        (("--cpus", "nan"), "invalid --cpus 'nan'"),
        (("--cpus", "1", "--cpu-quota", "5000"), "--cpus says what"),
        (("--cpu-period", "5000"), "--cpu-period limits nothing"),
        (("--cpu-quota", "5"), "invalid --cpu-quota '5'"),
        (("--cpu-shares", "1"), "invalid --cpu-shares '1'"),
        (("--cpuset-cpus", "0-"), "invalid --cpuset-cpus '0-'"),
        (("--pids-limit", "x"), "invalid --pids-limit 'x'"),
        (("--step-timeout", "5 min"), "invalid --step-timeout '5 min'"),
    ],
)
def test_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        _resources(*words)
    assert message in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(
    ("text", "wanted"), [("", 0), ("0", 0), ("90", 90), ("1.5", 1.5), ("1h1m1s", 3661), ("250ms", 0.25), ("1us", 1e-6)]
)
def test_durations(text: str, wanted: float) -> None:
    assert seconds_of(text, "x") == wanted


@pytest.mark.parametrize("text", ["-1", "1x", "s", "1 s", "0s", "9" * 30, "1m-2s", "\u0661s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="invalid x"):
        seconds_of(text, "x")
