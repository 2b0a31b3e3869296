"""Whether steps of other kinds of machines can run here, from the kernel's register of formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from img.errors import BackendError, Place
from img.ir.nodes import Exec, Notes, Scratch, Source
from img.oci.platform import Platform, host_platform
from img_plugins.worker.emulation import MACHINES, Emulation, entries, foreign, head_of

PLACE = Place("Dockerfile", 2)
OTHER = "linux/arm64" if host_platform().architecture != "arm64" else "linux/s390x"


class Host:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)


def step(platform: str) -> Exec:
    base = Source("docker-image", "x@sha256:1", (("platform", platform),)) if platform else Scratch()
    return Exec(base, ("sh",), notes=Notes(place=PLACE))


def register(folder: Path, platform: str, flags: str = "F", state: str = "enabled") -> Path:
    """A register as the kernel shows it, with the entry that qemu makes."""
    magic = head_of(Platform.parse(platform))
    mask = bytearray(b"\xff" * len(magic))
    mask[7], mask[16] = 0, 0xFE
    (folder / "status").write_text(f"{state}\n")
    (folder / "register").write_text("")
    (folder / "python").write_text("enabled\ninterpreter /usr/bin/python\nflags: \nextension .pyc\n")
    (folder / "some-name").write_text(
        f"enabled\ninterpreter /usr/bin/qemu\nflags: {flags}\noffset 0\nmagic {magic.hex()}\nmask {bytes(mask).hex()}\n"
    )
    return folder


def test_an_interpreter_is_found_by_what_it_takes_and_told_of_once(tmp_path: Path) -> None:
    host = Host()
    emulation = Emulation(host, register(tmp_path, OTHER, "POCF"))  # type: ignore[arg-type]
    for _ in range(2):
        emulation.check(step(OTHER))
    (told,) = host.events
    assert told.place == PLACE
    assert OTHER in told.message and "(qemu)" in told.message and "--platform=$BUILDPLATFORM" in told.message


@pytest.mark.parametrize("how", [{"flags": ""}, {"state": "disabled"}, {"platform": "linux/riscv64"}])
def test_none_that_would_do_is_an_error_with_the_remedy(tmp_path: Path, how: dict[str, str]) -> None:
    folder = register(tmp_path, how.get("platform", OTHER), how.get("flags", "F"), how.get("state", "enabled"))
    with pytest.raises(BackendError) as caught:
        Emulation(Host(), folder).check(step(OTHER))  # type: ignore[arg-type]
    assert caught.value.place == PLACE
    assert "qemu-user-static" in caught.value.hint


@pytest.mark.parametrize("platform", ["", str(host_platform())])
def test_what_runs_by_itself_needs_none(tmp_path: Path, platform: str) -> None:
    assert foreign(step(platform)) is None
    Emulation(Host(), register(tmp_path, OTHER, state="disabled")).check(step(platform))  # type: ignore[arg-type]


def test_a_register_that_cannot_be_seen_means_trying(tmp_path: Path) -> None:
    Emulation(Host(), tmp_path / "nowhere").check(step(OTHER))  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", sorted(MACHINES))
def test_each_machine_has_a_head_of_its_own(tmp_path: Path, architecture: str) -> None:
    (found,) = entries(register(tmp_path, f"linux/{architecture}"))
    takes = [name for name in MACHINES if found.takes(head_of(Platform("linux", name)))]
    assert takes == [architecture]
    assert head_of(Platform("linux", "vax")) == b"" and not found.takes(b"")
