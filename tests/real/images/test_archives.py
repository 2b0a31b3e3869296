"""Archives of several images, with docker and podman on the other side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.peers import builders
from tests.peers.builders import img, ok, run

pytestmark = pytest.mark.real


def ids(store: Path, *names: str) -> dict[str, str]:
    return {name: json.loads(ok(img("inspect", "-f", "json", name, root=store)))["Id"] for name in names}


def podman(work: Path) -> Callable[..., str]:
    base = ["podman", "--root", work / "pod", "--runroot", work / "podrun", "--storage-driver", "vfs"]
    return lambda *argv: run(*base, *argv)


@pytest.mark.timeout(300)
def test_docker_loads_and_saves_several_images(two: Path, docker_host: str, work: Path) -> None:
    def docker(*argv: object) -> str:
        return run(builders.DOCKER, "-H", docker_host, *argv)

    known = ids(two, "one:1", "two:1")
    ok(img("save", "-o", str(work / "a.tar"), "one:1", "two:1", root=two))
    docker("load", "-i", work / "a.tar")
    for name, id in known.items():
        assert docker("image", "inspect", "-f", "{{.Id}}", name).strip() == id
        assert docker("run", "--rm", "--network", "none", name) == f"{name[:3]}\n"
    docker("save", "-o", work / "b.tar", "one:1", "two:1")
    other = work / "other"
    ok(img("load", "-i", str(work / "b.tar"), root=other))
    assert ids(other, *known) == known
    for name in known:
        ok(img("verify", name, root=other))
    docker("rmi", "one:1", "two:1")


@pytest.mark.timeout(300)
def test_podman_loads_and_saves_several_images(two: Path, work: Path) -> None:
    pod = podman(work)
    known = ids(two, "one:1", "two:1")
    for form in ("docker", "oci"):
        names = list(known) if form == "docker" else ["one:1"]
        ok(img("save", "--format", form, "-o", str(work / f"{form}.tar"), *names, root=two))
        pod("load", "-i", work / f"{form}.tar")
        for name in names:
            full = name if form == "docker" else f"docker.io/library/{name}"
            assert f"sha256:{pod('image', 'inspect', '-f', '{{.Id}}', full).strip()}" == known[name]
    pod("save", "-m", "-o", work / "back.tar", *known)
    pod("save", "--format", "oci-archive", "-o", work / "oci.tar", "one:1")
    other = work / "other"
    ok(img("load", "-i", str(work / "back.tar"), root=other))
    assert (
        ids(other, "localhost/one:1", "localhost/two:1") == {f"localhost/{name}": id for name, id in known.items()}
        or ids(other, *known) == known
    )
    ok(img("load", "-i", str(work / "oci.tar"), root=work / "third"))


def test_the_docker_output(context: Path, store: Path, docker_host: str, work: Path) -> None:
    spec = f"type=docker,dest={work}/i.tar,compression=uncompressed"
    ok(img("build", "-t", "out:1", "-t", "out:2", "-o", spec, str(context), root=store))
    run(builders.DOCKER, "-H", docker_host, "load", "-i", work / "i.tar")
    found = {
        run(builders.DOCKER, "-H", docker_host, "image", "inspect", "-f", "{{.Id}}", f"out:{n}").strip() for n in (1, 2)
    }
    assert len(found) == 1
    run(builders.DOCKER, "-H", docker_host, "rmi", "out:1", "out:2")
    ok(img("build", "-o", f"type=docker,tar=false,dest={work}/folder", str(context), root=store))
    assert {"manifest.json", "index.json", "oci-layout", "blobs"} <= set(os.listdir(work / "folder"))


def test_save_refuses_a_terminal(two: Path) -> None:
    child = pexpect.spawn(str(builders.TOOL), ["save", "one:1"], env={**os.environ, "IMG_ROOT": str(two)}, timeout=60)
    child.expect("cowardly refusing to save to a terminal")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
