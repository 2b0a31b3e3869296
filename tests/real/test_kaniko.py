"""``img kaniko`` with a real registry, a real git server and a real docker on the other side."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.peers import builders, repositories
from tests.peers.builders import img
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

FILES = 'FROM {base}\nARG TEXT=one\nRUN echo $TEXT > /text\nCMD ["cat", "/text"]\n'


def skopeo(*words: str) -> str:
    argv = ["skopeo", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def context(work: Path, busybox: str) -> Path:
    folder = work / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(FILES.format(base=busybox))
    return folder


@pytest.mark.timeout(300)
def test_pushed_to_several_names_and_loaded_by_docker(
    context: Path, registry: Registry, docker_host: str, work: Path
) -> None:
    names = [f"{registry.host}/kaniko/app:1", f"{registry.host}/kaniko/other:2"]
    words = ["--context", str(context), "--build-arg=TEXT=two", "--insecure", "--cleanup", "--snapshot-mode=redo"]
    words += [f"--destination={name}" for name in names] + ["--digest-file", str(work / "d"), "--tar-path", f"{work}/t"]
    done = img("kaniko", *words, root=work / "store")
    assert done.returncode == 0, done.stderr
    digest = (work / "d").read_text()
    for name in names:
        assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"] == digest

    def docker(*argv: str) -> str:
        argv = (builders.DOCKER, "-H", docker_host, *argv)
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert names[0] in docker("load", "-i", f"{work}/t")
    assert docker("run", "--rm", "--network=none", names[1]) == "two\n"


@pytest.mark.timeout(120)
def test_no_push_pushes_nothing_and_a_mirror_serves_docker_hub(context: Path, registry: Registry, work: Path) -> None:
    skopeo("copy", "--dest-tls-verify=false", "--src-tls-verify=false", *hub(context, registry))
    (context / "Dockerfile").write_text("FROM kaniko-hub\nCOPY Dockerfile /file\n")
    before = len([line for line in registry.requests() if "PUT" in line or "POST" in line])
    words = ["-c", str(context), "--no-push", f"--registry-mirror={registry.host}", "-d", f"{registry.host}/no/push:1"]
    done = img("kaniko", *words, "--skip-default-registry-fallback", root=work / "store")
    assert done.returncode == 0, done.stderr
    assert len([line for line in registry.requests() if "PUT" in line or "POST" in line]) == before


def hub(context: Path, registry: Registry) -> tuple[str, str]:
    base = (context / "Dockerfile").read_text().split()[1]
    return f"docker://{base}", f"docker://{registry.host}/library/kaniko-hub:latest"


@pytest.mark.timeout(120)
def test_a_git_context_with_a_folder_of_it(busybox: str, work: Path) -> None:
    files: dict[str, str | None] = {
        "app/Dockerfile": f"FROM {busybox}\nCOPY --chmod=600 file /\nRUN test -f /file\n",
        "app/file": "x\n",
    }
    repository = work / "served" / "app.git"
    repository.mkdir(parents=True)
    repositories.git(repository, "init", "-q", "-b", "main")
    repositories.commit(repository, files)
    with repositories.web(work / "served") as web:
        words = [
            "-c",
            f"{web.url.replace('http', 'git')}/app.git#refs/heads/main",
            "--context-sub-path=app",
            "--no-push",
        ]
        words += ["--oci-layout-path", str(work / "layout")]
        done = img("kaniko", *words, root=work / "store", env={"GIT_PULL_METHOD": "http"})
    assert done.returncode == 0, done.stderr
    assert json.loads((work / "layout" / "index.json").read_text())["manifests"]
