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


def test_inside_a_container_without_any_privilege(
    docker_host: str, debian: str, registry: Registry, work: Path
) -> None:
    """A random uid, no capabilities, no_new_privs: files over a real base work as anywhere, RUN says what is missing."""
    context = work / "c"
    context.mkdir()
    (context / "copy").write_text(
        f"FROM {debian} AS base\nFROM base\nCOPY copy /etc/copied\nCOPY --from=base /etc /moved\n"
    )
    (context / "run").write_text(f"FROM {debian}\nCOPY copy /copied\nRUN true\n")
    context.chmod(0o755)
    out = work / "out"
    out.mkdir()
    out.chmod(0o777)
    argv = [builders.DOCKER, "-H", docker_host, "run", "--rm", "--network", "host", "-e", "IMG_ROOT=/tmp/store"]
    argv += ["-u", "54321:54321", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "-v", f"{out}:/out"]
    argv += ["-e", "SOURCE_DATE_EPOCH=1700000000"]
    for path in (builders.TOOL.parent.parent, Path("/usr"), context):
        argv += ["-v", f"{path}:{path}:ro"]
    tool = f"{builders.TOOL}"
    output = "-o type=oci,rewrite-timestamp=true,dest="
    script = (
        f"{tool} kaniko -c {context} -f {context}/copy --no-push --tar-path /tmp/t -v error > /tmp/log 2>&1 && "
        f"{tool} build {output}/out/there.tar -f {context}/copy {context} && date +%s.%N && "
        f"{tool} build -t ran -f {context}/run {context}; echo $?; date +%s.%N; {tool} doctor; echo $?"
    )
    done = subprocess.run([*argv, debian, "sh", "-c", script], capture_output=True, text=True, check=False)
    begun, status, ended, *told, last = done.stdout.splitlines()
    assert (status, last) == ("1", "1"), done.stderr
    assert float(ended) - float(begun) < 4
    assert "assembles only, RUN does not work: user namespaces are not allowed here" in done.stderr
    assert "rung copy lacks img is not uid 0 here (uid 54321)" in done.stderr
    assert told[0] == "RUN does not work here; builds without RUN do"
    assert "Traceback" not in done.stderr
    arguments = ["build", *f"{output}{out}/here.tar".split(), "-f", f"{context}/copy", str(context)]
    here = builders.img(*arguments, root=work / "s", env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert here.returncode == 0, here.stderr
    assert (out / "here.tar").read_bytes() == (out / "there.tar").read_bytes()
