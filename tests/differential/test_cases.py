"""Every case of ``cases/*.txt``, built by img and by a real BuildKit, and compared. README.md says how to add one."""

from __future__ import annotations

import subprocess

import pytest

from tests.differential import bench, cases, compare
from tests.peers import flatten

pytestmark = pytest.mark.real


def parameters() -> list[object]:
    """The cases; one that is known to differ has to fail, so that a repair shows."""
    found: list[object] = []
    for case in cases.read_all():
        marks = [pytest.mark.xfail(reason=case.keys["known"], strict=True)] if "known" in case.keys else []
        found.append(pytest.param(case, id=case.id, marks=marks))
    return found


def test_there_are_enough_cases() -> None:
    assert len(cases.read_all()) >= 150


@pytest.mark.parametrize("case", parameters())
def test_case(case: cases.Case, benches: bench.Bench) -> None:
    built = benches.built(case)
    try:
        if "fails" in case.keys:
            _both_refuse(case, built)
        else:
            _both_build_the_same(case, built)
    finally:
        bench.discard(built)


def _both_build_the_same(case: cases.Case, built: bench.Built) -> None:
    assert built.ours.returncode == 0, f"{case.place}: img failed\n{_end(built.ours)}"
    image = flatten.read_layout(built.work / "ours")
    found: list[str] = []
    if built.theirs is not None:
        assert built.theirs.returncode == 0, f"{case.place}: BuildKit failed\n{_end(built.theirs)}"
        peers = flatten.read_layout(built.work / "theirs")
        found += compare.differences(image, peers, case.words("times"), tuple(case.words("except")))
    if (tree := case.expectation("tree")) is not None:
        found += compare.unmet(tree, image)
    if (config := case.expectation("config")) is not None:
        found += compare.unmet_config(config, image)
    if found:
        pytest.fail("\n".join([f"{case.place}: {case.about}", *found]), pytrace=False)


def _both_refuse(case: cases.Case, built: bench.Built) -> None:
    """img must refuse with the words of ``fails``, at ``line``, without a traceback; and so must the peer."""
    if built.theirs is not None:
        assert built.theirs.returncode != 0, f"{case.place}: BuildKit builds it"
    assert built.ours.returncode in (1, 2), f"{case.place}: img builds it\n{_end(built.ours)}"
    said = built.ours.stderr
    assert "Traceback" not in said and "internal error" not in said, _end(built.ours)
    words = case.words("fails")
    if "line" in case.keys:
        words.append(f"Dockerfile:{case.keys['line']}:")
    missing = [word for word in words if word not in said]
    if missing:
        pytest.fail(f"{case.place}: img does not say {', '.join(map(repr, missing))}\n{said[-3000:]}", pytrace=False)


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr[-3000:]
