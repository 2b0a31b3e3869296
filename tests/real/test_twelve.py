"""The same Dockerfiles over every backend: the same images to the byte, and over BuildKit, which packs its layers itself, the
same files and configuration. In containers that are confined as pods are: `test_podjail`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import bases, flatten, servers, twelve

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

BACKENDS = {
    "runc": ("runc", {"IMG_RUNTIME": "runc"}),
    "crun": ("runc", {"IMG_RUNTIME": "crun"}),
}
"""Backends that need nothing but their program: by what name ``--backend`` knows them, and in what environment."""


@pytest.fixture(scope="module")
def context(debian: str, registry: servers.Registry, ground: Path) -> Path:
    return twelve.context(ground / "twelve", debian, bases.push_large(registry.host))


@pytest.fixture(scope="module")
def wanted(context: Path, ground: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What chroot makes of them as root."""
    return twelve.wanted(context, ground / "here", twelve.shared(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def contained(context: Path, containerd: str, ground: Path) -> tuple[Path, dict[str, str]]:
    """What containerd makes of them: the folder of the archives, and the digests."""
    out = ground / "contained"
    return out, twelve.here(context, out, "--backend containerd", {"IMG_CONTAINERD_ADDRESS": containerd})


@pytest.mark.parametrize("name", BACKENDS)
def test_the_same_images_over(name: str, context: Path, wanted: dict[str, str], work: Path) -> None:
    backend, env = BACKENDS[name]
    assert twelve.here(context, work / "out", f"--backend {backend}", env) == wanted


def test_the_same_images_over_containerd(contained: tuple[Path, dict[str, str]], wanted: dict[str, str]) -> None:
    assert contained[1] == wanted


def test_the_same_files_over_buildkit(
    contained: tuple[Path, dict[str, str]], context: Path, newer: str, work: Path
) -> None:
    """Held against the archives of containerd, which are those of chroot."""
    env = {"IMG_BUILDKIT_ADDRESS": newer.replace("unix://", "docker://")}
    names = [name for name in twelve.FILES if name not in twelve.OPENING]
    twelve.here(context, work / "out", "--backend buildkit --network host", env, names)
    known: flatten.Known = {}
    for name in names:
        ours = flatten.read_archive(contained[0] / f"{name}.tar", work / name / "ours", known)
        theirs = flatten.read_archive(work / "out" / f"{name}.tar", work / name / "theirs", known)
        flatten.check_same(ours, theirs)
