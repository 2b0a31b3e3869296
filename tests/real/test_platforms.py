"""Images for several platforms: side by side, cross-compiled, emulated, merged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.peers import builders, emulators
from tests.peers.builders import img, ok
from tests.peers.packing import PACKING
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

BOTH = "linux/amd64,linux/arm64"


def raw(name: str) -> bytes:
    argv = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
    return subprocess.run(argv, check=True, capture_output=True).stdout


@pytest.fixture(scope="session")
def parts(registry: Registry, ground: Path) -> dict[str, str]:
    return emulators.push_busybox(registry.host, ground / "both")


@pytest.fixture(scope="session")
def both(registry: Registry, ground: Path, parts: dict[str, str]) -> str:
    name = f"{registry.host}/both:1"
    ok(img("merge", "--push", name, *(f"docker://{part}" for part in parts.values()), root=ground / "merging"))
    return name


def emulated(*words: str, root: Path) -> subprocess.CompletedProcess[str]:
    env = {"IMG_ROOT": str(root), "PATH": os.environ["PATH"], "HOME": "/root"}
    argv = emulators.emulating(str(builders.TOOL), *words)
    return subprocess.run(argv, capture_output=True, text=True, env=env, cwd="/", check=False, timeout=300)


def write(work: Path, text: str) -> Path:
    folder = work / "context"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    return folder


def test_merge_keeps_every_byte_and_moves_the_tag_last(both: str, parts: dict[str, str], work: Path) -> None:
    index = json.loads(raw(both))
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == list(parts)
    for entry, name in zip(index["manifests"], parts.values(), strict=True):
        assert raw(f"{both.rpartition(':')[0]}@{entry['digest']}") == raw(name)
    before = raw(both)
    done = img(
        "merge", "--push", both, *(f"docker://{name}" for name in (*parts.values(), f"{both}-nowhere")), root=work / "s"
    )
    assert done.returncode == 1
    assert raw(both) == before


def test_cross_stages_run_on_this_machine_and_give_an_index(both: str, registry: Registry, work: Path) -> None:
    text = f"FROM --platform=$BUILDPLATFORM {both} AS tool\nARG TARGETARCH\n"
    text += f"RUN echo $TARGETARCH-$(uname -m) > /made\nFROM {both}\nCOPY --from=tool /made /made\n"
    name = f"{registry.host}/cross:1"
    done = img("build", "--platform", BOTH, "--push", "-t", name, str(write(work, text)), root=work / "s")
    ok(done)
    assert "emulated" not in done.stderr
    for entry in json.loads(raw(name))["manifests"]:
        architecture = entry["platform"]["architecture"]
        reference = f"{name.rpartition(':')[0]}@{entry['digest']}"
        ok(img("pull", "--platform", f"linux/{architecture}", reference, root=work / "p"))
        out = work / f"root-{architecture}"
        ok(img("unpack", reference, "--platform", f"linux/{architecture}", "-o", str(out), root=work / "p"))
        assert (out / "made").read_text() == f"{architecture}-{os.uname().machine}\n"


def test_stages_of_two_platforms_run_side_by_side(both: str, work: Path) -> None:
    text = f"FROM --platform=$BUILDPLATFORM {both} AS tool\nARG TARGETARCH\nRUN echo $TARGETARCH; busybox sleep 2\n"
    words = ["--platform", BOTH, "--progress", "json", "-o", f"type=oci,dest={work}/o"]
    done = img("build", *words, str(write(work, text)), root=work / "s")
    ok(done)
    events: list[dict[str, Any]] = [e for e in builders.events(done) if e.get("event") in ("StepStarted", "StepDone")]
    kinds = [event["event"] for event in events if "sleep" in event["title"]]
    assert kinds == ["StepStarted", "StepStarted", "StepDone", "StepDone"]


def test_a_base_without_the_platform(parts: dict[str, str], both: str, work: Path) -> None:
    done = img("build", "--platform", "linux/riscv64", str(write(work, f"FROM {both}\n")), root=work / "s")
    assert done.returncode == 1
    assert f"error: {both} has no image for linux/riscv64" in done.stderr
    assert "it has: linux/amd64, linux/arm64" in done.stderr and "Dockerfile:1" in done.stderr
    done = img("build", "--platform", "linux/arm64", str(write(work, f"FROM {parts['amd64']}\n")), root=work / "s")
    assert done.returncode == 0 and "linux/amd64" in done.stderr and "linux/arm64" in done.stderr
    assert "Dockerfile:1" in done.stderr  # as BuildKit, which takes an image that has one platform, and warns


def test_a_stored_image_for_another_platform_is_the_last_resort(both: str, parts: dict[str, str], work: Path) -> None:
    store, folder = work / "s", write(work, f"FROM {both}\nLABEL a=b\n")
    ok(img("pull", parts["amd64"], root=store))
    ok(img("tag", parts["amd64"], both, root=store))
    asked = ("build", "--platform", "linux/arm64", str(folder))
    alone = img(*asked, "--offline", root=store)
    assert alone.returncode == 0 and "InvalidBaseImagePlatform" in alone.stderr
    done = img(*asked, root=store)
    assert done.returncode == 0 and "InvalidBaseImagePlatform" not in done.stderr


def test_without_an_emulator_the_line_and_the_remedy_are_told(both: str, work: Path) -> None:
    folder = write(work, f"FROM {both}\nRUN uname -m > /made\n")
    done = img("build", "--platform", "linux/arm64", str(folder), root=work / "s")
    assert done.returncode == 1
    assert "error: this machine (linux/amd64) can't run a step of an image for linux/arm64" in done.stderr
    assert "qemu-user-static" in done.stderr and "$BUILDPLATFORM" in done.stderr
    assert "Dockerfile:2" in done.stderr


@pytest.mark.timeout(300)
def test_with_an_emulator_it_just_works(both: str, registry: Registry, work: Path) -> None:
    folder = write(work, f"FROM {both}\nRUN uname -m > /made && cat /made\n")
    name = f"{registry.host}/emulated:1"
    done = emulated("build", "--platform", BOTH, "--push", "-t", name, str(folder), root=work / "s")
    ok(done)
    assert "aarch64" in done.stderr
    assert done.stderr.count("steps for linux/arm64 are emulated here (qemu-aarch64-static)") == 1
    assert len(json.loads(raw(name))["manifests"]) == 2


def test_another_processor_packs_the_same_bytes() -> None:
    """Libraries of compression choose their code by what the processor can do; layers must come out the same."""
    argv = [sys.executable, "-c", PACKING]
    ours = subprocess.run(argv, check=True, capture_output=True).stdout
    other = subprocess.run(emulators.on_processor("Nehalem", *argv), check=True, capture_output=True).stdout
    assert len(ours.splitlines()) == 10
    assert other == ours
