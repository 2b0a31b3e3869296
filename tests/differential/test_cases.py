"""Every case of ``cases/*.txt``, built by img and by BuildKit at the same time, and compared."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.differential import cases, compare, contexts
from tests.peers import builders, flatten
from tests.peers.servers import BuildKit

pytestmark = pytest.mark.real


@dataclass
class Bench:
    """Where a case is built, and by whom."""

    buildkit: BuildKit
    store: Path
    names: dict[str, str]
    work: Path


@pytest.fixture
def bench(buildkit: BuildKit, store: Path, names: dict[str, str], work: Path) -> Bench:
    return Bench(buildkit, store, {**names, "work": str(work), "context": str(work / "context")}, work)


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
def test_case(case: cases.Case, bench: Bench) -> None:
    context = contexts.write(case, bench.work, bench.names)
    with ThreadPoolExecutor(2) as pool:
        peer = None if "spec" in case.keys else pool.submit(_peer, case, bench, context)
        ours = _img(case, bench, context)
        theirs = peer.result() if peer else None
    if "fails" in case.keys:
        _both_refuse(case, ours, theirs)
        return
    assert ours.returncode == 0, f"{case.place}: img failed\n{ours.stderr[-3000:]}"
    image = flatten.read_layout(bench.work / "ours")
    found: list[str] = []
    if theirs is not None:
        said = theirs.stderr.decode(errors="replace")
        assert theirs.returncode == 0, f"{case.place}: BuildKit failed\n{said[-3000:]}"
        skip = tuple(case.words("except"))
        peers = flatten.read_layout(bench.work / "theirs")
        found += compare.differences(image, peers, case.words("times"), skip)
        left_out = tuple(case.words("except-config"))
        found = [line for line in found if not line.startswith(tuple(f"config {key}" for key in left_out) or ("\0",))]
    if (tree := case.expectation("tree")) is not None:
        found += compare.unmet(tree, image)
    if (config := case.expectation("config")) is not None:
        found += compare.unmet_config(config, image)
    assert found == [], f"{case.place}: {case.about}\n" + "\n".join(found)


def _img(case: cases.Case, bench: Bench, context: Path) -> subprocess.CompletedProcess[str]:
    output = f"type=oci,tar=false,dest={bench.work}/ours"
    argv = ["build", "--network", "host", "-o", output, "--progress", "plain", *_flags(case, bench), str(context)]
    return builders.img(*argv, root=bench.store, env=ENVIRONMENT, timeout=100)


def _peer(case: cases.Case, bench: Bench, context: Path) -> subprocess.CompletedProcess[bytes]:
    output = f"type=oci,tar=false,dest={bench.work}/theirs"
    argv = ["buildx", "build", "--progress", "plain", "--network", "host", "-o", output]
    return bench.buildkit.client(*argv, *_flags(case, bench), str(context), env=ENVIRONMENT, timeout=100)


def _flags(case: cases.Case, bench: Bench) -> list[str]:
    return [contexts.named(word, bench.names) for word in case.words("build")]


ENVIRONMENT = {"FROM_ENVIRONMENT": "a value of the environment"}
"""For ``--build-arg FROM_ENVIRONMENT`` and secrets from the environment."""


def _both_refuse(
    case: cases.Case,
    ours: subprocess.CompletedProcess[str],
    theirs: subprocess.CompletedProcess[bytes] | None,
) -> None:
    """img must refuse with the words of ``fails``, at ``line``, without a traceback; and so must the peer."""
    if theirs is not None:
        assert theirs.returncode != 0, f"{case.place}: BuildKit builds it"
    assert ours.returncode not in (0, None), f"{case.place}: img builds it"
    assert "Traceback" not in ours.stderr, ours.stderr[-3000:]
    for words in case.words("fails"):
        assert words in ours.stderr, f"{case.place}: {words!r} is not in\n{ours.stderr[-3000:]}"
    if "line" in case.keys:
        place = f"Dockerfile:{case.keys['line']}:"
        assert place in ours.stderr, f"{case.place}: {place} is not in\n{ours.stderr[-3000:]}"
