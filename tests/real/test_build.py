"""Real Dockerfiles on real bases, built as root and as an ordinary user, held against docker (BuildKit) and buildah."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.peers import builders, flatten
from tests.peers.apps import c_program, files_only, python_app
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

STUBS = ("dev", "proc", "sys", "run", "etc/hosts", "etc/resolv.conf", "etc/hostname")
"""Mount points that the peers leave behind in the image, or that buildah makes; docs/explanation/differences.md."""


CASES: dict[str, Callable[[Path, str, str], Path]] = {"c": c_program, "python": python_app, "files": files_only}

VOLATILE = (
    "var/cache",
    "var/log",
    "var/lib/apt",
    "var/lib/dpkg",
    "etc/ld.so.cache",
    "usr/lib/python3",
    "usr/share/python3",
    "tmp",
    "root",
)
"""What package managers write differently each time: logs, caches with times in them, and compiled bytecode."""


Peers = Callable[[str], dict[str, flatten.Flat]]


@pytest.fixture(scope="module")
def peers(debian: str, busybox: str, docker_host: str, ground: Path) -> Peers:
    """What docker and buildah make of a case, built once."""

    @functools.cache
    def made(case: str) -> dict[str, flatten.Flat]:
        folder = ground / f"peers-{case}"
        (folder / "context").mkdir(parents=True)
        context = CASES[case](folder / "context", debian, busybox)
        places = {
            "docker": builders.docker_build(docker_host, context, folder / "docker.tar"),
            "buildah": builders.buildah_build(folder, context, folder / "layout"),
        }
        found = {peer: flatten.flatten(place, folder / peer) for peer, place in places.items()}
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        return found

    return made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_same_files_and_config_as_the_peers(
    case: str, user: bool, registry: Registry, debian: str, busybox: str, peers: Peers, ground: Path, work: Path
) -> None:
    context = work / "context"
    context.mkdir()
    CASES[case](context, debian, busybox)
    tag = f"{registry.host}/{case}:img-{'user' if user else 'root'}"
    store = ground / f"store-{'user' if user else 'root'}"
    store.mkdir(exist_ok=True)
    if user:
        builders.readable_by_user(context)
        shutil.chown(store, builders.USER, builders.USER)

    _built_once(registry, context, tag, store, user)
    pushed = builders.img("push", tag, root=store, user=user)
    assert pushed.returncode == 0, pushed.stderr
    layout = work / "layout"
    argv = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{tag}", f"oci:{layout}:x"]
    subprocess.run(argv, check=True, capture_output=True)
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:x", str(work / "bundle")], check=True, capture_output=True)

    ours = flatten.read_layout(layout).flat
    for peer, theirs in peers(case).items():
        skip = (*STUBS, *(VOLATILE if case == "python" else ()))
        found = flatten.differences(_plain(ours.files), _plain(theirs.files), skip)
        if peer == "buildah":
            found = [line for line in found if not _of_buildah(line)]
        assert found == []
        _same_config(ours.config, theirs.config, peer)


def _built_once(registry: Registry, context: Path, tag: str, store: Path, user: bool) -> None:
    """Build, and twice more: nothing runs again, nothing is asked of the registry, also when files have new times."""
    argv = ("build", "-t", tag, "--progress", "json", str(context))
    done = builders.img(*argv, root=store, user=user)
    assert done.returncode == 0, done.stderr[-3000:]
    assert builders.ran(done)
    seen = len(registry.requests())
    again = builders.img(*argv, root=store, user=user)
    assert again.returncode == 0, again.stderr[-3000:]
    assert builders.ran(again) == []
    assert registry.requests()[seen:] == []
    for path in context.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path)
    assert builders.ran(builders.img(*argv, root=store, user=user)) == []


def _plain(files: dict[str, flatten.File]) -> dict[str, flatten.File]:
    """Without user.* attributes, which only img keeps (differences.md)."""
    return {
        name: file._replace(xattrs=tuple(x for x in file.xattrs if not x[0].startswith("user.")))
        for name, file in files.items()
    }


def _of_buildah(line: str) -> bool:
    """buildah drops setuid bits of copied files, and keeps folders' modes where docker makes them anew."""
    return "setuid" in line or line.startswith(("copied:", "added:", "copied/sub:"))


def _same_config(ours: dict, theirs: dict, peer: str) -> None:  # type: ignore[type-arg]
    for key in ("Env", "Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "Volumes"):
        left, right = ours["config"].get(key), theirs["config"].get(key)
        if peer == "buildah" and key in ("Env", "WorkingDir"):
            continue  # buildah gives FROM scratch neither PATH nor a working folder
        assert left == right, key
    for key in ("architecture", "os"):
        assert ours[key] == theirs[key]
    assert len(ours["rootfs"]["diff_ids"]) == sum(1 for entry in ours["history"] if not entry.get("empty_layer"))


def test_the_results_run(registry: Registry, docker_host: str, work: Path, busybox: str) -> None:
    """dockerd pulls what img pushed, and runs it."""
    (work / "Dockerfile").write_text(f'FROM {busybox}\nRUN echo it runs > /note\nCMD ["cat", "/note"]\n')
    tag = f"{registry.host}/runs:1"
    done = builders.img("build", "-t", tag, "-o", "type=registry", str(work), root=work / "store")
    assert done.returncode == 0, done.stderr
    argv = [builders.DOCKER, "-H", docker_host, "run", "--rm", "--network", "none", tag]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.stdout == "it runs\n", ran.stderr


def test_touching_one_file_runs_just_what_sees_it(busybox: str, work: Path) -> None:
    context = work / "c"
    context.mkdir()
    for name in ("a", "b"):
        (context / name).write_text(name)
    (context / "Dockerfile").write_text(
        f"FROM {busybox} AS one\nCOPY a /a\nRUN cat /a > /one\n"
        f"FROM {busybox} AS two\nCOPY b /b\nRUN cat /b > /two\n"
        f"FROM {busybox}\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    )
    argv = ("build", "-t", "x", "--progress", "json", str(context))
    assert builders.img(*argv, root=work / "s").returncode == 0
    (context / "b").write_text("changed")
    ran = builders.ran(builders.img(*argv, root=work / "s"))
    assert ran == ["COPY b /b", "RUN cat /b > /two", "COPY --from=two /two /"]


def test_twelve_sleeping_stages_sleep_together(busybox: str, work: Path) -> None:
    def timed(stages: int) -> float:
        context = work / f"c{stages}"
        context.mkdir()
        lines = [f"FROM {busybox} AS s{n}\nRUN sleep 1; echo {n} > /out{n}" for n in range(stages)]
        lines += [f"FROM {busybox}", *[f"COPY --from=s{n} /out{n} /" for n in range(stages)]]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        started = time.monotonic()
        done = builders.img("build", "-t", f"sleep{stages}", str(context), root=work / "s")
        assert done.returncode == 0, done.stderr
        return time.monotonic() - started

    alone = timed(1)
    together = timed(12)
    assert together < 3 * alone, (together, alone)


def test_a_layer_is_packed_while_the_next_step_runs(busybox: str, work: Path) -> None:
    """The second step waits for an answer that comes when the first one's blob is in the store."""
    blobs = work / "store/blobs/sha256"

    def packed() -> bool:
        return any(300_000 < blob.stat().st_size < 400_000 for blob in blobs.iterdir() if blob.is_file())

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        steps = "RUN head -c 300000 /dev/urandom > /noise\nRUN nc 127.0.0.1 PORT\nRUN true\n"
        (work / "Dockerfile").write_text(f"FROM {busybox}\n" + steps.replace("PORT", str(server.getsockname()[1])))
        with ThreadPoolExecutor(1) as pool:
            build = pool.submit(builders.img, "build", "-t", "ahead", str(work), root=work / "store")
            step, _ = server.accept()
            with step:
                deadline = time.monotonic() + 60
                while not packed() and time.monotonic() < deadline:
                    time.sleep(0.05)
                assert packed()
            assert build.result().returncode == 0, build.result().stderr


def test_a_cached_build_costs_less_than_three_imports_of_typer(busybox: str, work: Path) -> None:
    """Forty steps, all cached, against ``python -c "import typer"`` in turn on the same machine: CPU time of both."""
    import resource

    context = work / "c"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {busybox}\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(40)))
    python = builders.TOOL.parent / "python"

    def spent(act: Callable[[], object]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        act()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def build() -> None:
        env = {"IMG_DISABLE_PLUGINS": "img-example-plugin"}
        done = builders.img("build", "-q", "-t", "x", str(context), root=work / "s", env=env)
        assert done.returncode == 0, done.stderr

    build()
    rounds = [
        (spent(build), spent(lambda: subprocess.run([python, "-c", "import typer"], check=True))) for _ in range(5)
    ]
    ratios = sorted(ours / theirs for ours, theirs in rounds)
    assert ratios[2] < 3, ratios


def test_outputs(busybox: str, work: Path) -> None:
    context = work / "c"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo out > /file && ln -s file /link\n")
    for spec in (
        f"type=oci,dest={work}/image.tar",
        f"type=oci,tar=false,dest={work}/layout",
        f"type=tar,dest={work}/fs.tar",
    ):
        done = builders.img("build", "-t", "out:1", "-o", spec, str(context), root=work / "s")
        assert done.returncode == 0, done.stderr
    done = builders.img("build", "-o", str(work / "fs"), str(context), root=work / "s")
    assert done.returncode == 0, done.stderr
    assert (work / "fs" / "file").read_text() == "out\n"
    assert os.readlink(work / "fs" / "link") == "file"
    names = subprocess.run(["tar", "tf", work / "fs.tar"], capture_output=True, text=True, check=True).stdout.split()
    assert "file" in names
    tar = flatten.flatten(f"oci-archive:{work}/image.tar", work / "a")
    layout = flatten.flatten(f"oci:{work}/layout:1", work / "b")
    assert tar == layout


def test_the_python_api(busybox: str, work: Path) -> None:
    import img

    (work / "src").mkdir()
    (work / "src" / "f").write_text("x")
    state = img.image(busybox).run("echo api > /api", env={"A": "1"}).copy(img.local(str(work / "src")), "f", to="/f")
    result = img.build(state.cmd(["cat", "/api"]), tag="api:1", root=work / "s")
    (name, digest) = result.images[0]
    assert name == "docker.io/library/api:1"
    assert img.build(state.cmd(["cat", "/api"]), tag="api:1", root=work / "s").images[0][1] == digest
