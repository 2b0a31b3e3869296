"""img with a stranger's plugin, and inside a container with default confinement."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.peers import builders
from tests.peers.servers import Registry

pytestmark = pytest.mark.real


def test_a_strangers_plugin_package(busybox: str, work: Path) -> None:
    """contrib/img-example-plugin, installed as any package: its exporter, and its setting."""
    context = work / "c"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN touch /made\n")
    out = work / "files"
    env = {"IMG_FILES_PREFIX": "//"}
    done = builders.img("build", "-o", f"type=files,dest={out}", str(context), root=work / "s", env=env)
    assert done.returncode == 0, done.stderr
    assert "//made" in out.read_text().splitlines()
    without = builders.img("--no-plugins", "build", "-o", f"type=files,dest={out}", str(context), root=work / "s")
    assert without.returncode == 2
    assert "there is no output type 'files'" in without.stderr


def test_inside_a_container_with_default_confinement(
    docker_host: str, debian: str, registry: Registry, work: Path
) -> None:
    """Docker's default capabilities and seccomp filter: COPY works, RUN says which rung is missing."""
    context = work / "c"
    context.mkdir()
    (context / "copy").write_text("FROM scratch\nCOPY copy /copied\n")
    (context / "run").write_text("FROM scratch\nCOPY copy /copied\nRUN true\n")
    context.chmod(0o755)
    venv = builders.TOOL.parent.parent
    base_python = Path("/usr")
    argv = [builders.DOCKER, "-H", docker_host, "run", "--rm", "--network", "none", "-e", "IMG_ROOT=/store"]
    for path in (venv, base_python, context):
        argv += ["-v", f"{path}:{path}:ro"]
    tool = f"{builders.TOOL}"
    script = (
        f"{tool} version && {tool} build -q -t copied -f {context}/copy {context} && "
        f"{tool} kaniko -c {context} -f {context}/copy --no-push --tar-path /t -v error && "
        f"{tool} build -q -t ran -f {context}/run {context}"
    )
    done = subprocess.run([*argv, debian, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("img "), done.stderr
    assert "sha256:" in done.stdout, done.stderr
    assert done.returncode == 1
    assert "RUN does not work here: root here may not make mount namespaces" in done.stderr
    assert "Traceback" not in done.stderr
