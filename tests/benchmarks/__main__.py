"""The same Dockerfiles built in turn by img, docker (BuildKit, its daemon warm) and buildah: medians and ratios.

``python -m tests.benchmarks [ROUNDS] [WORKLOAD…]``. Every round builds with a new label or an emptied cache where the
workload says cold. Ratios are peer / img: above 1, img is faster.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.peers import apps, bases, builders, servers


def empty_runs(context: Path, base: str) -> None:
    (context / "Dockerfile").write_text(f"FROM {base}\nARG ROUND\n" + "RUN true\n" * 20)


def sleeps(context: Path, base: str) -> None:
    lines = [f"FROM {base} AS s{n}\nARG ROUND\nRUN sleep 1; echo {n} > /out{n}" for n in range(12)]
    lines += [f"FROM {base}", *[f"COPY --from=s{n} /out{n} /" for n in range(12)]]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")


def files(context: Path, base: str) -> None:
    tree = context / "tree"
    for number in range(2000):
        path = tree / f"{number % 50}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2048) * 4)
    (context / "Dockerfile").write_text("FROM scratch\nARG ROUND\nLABEL round=$ROUND\nCOPY tree /copied\n")


def big_run(context: Path, base: str) -> None:
    script = "for i in 1 2 3; do cat /bin/busybox /bin/busybox /bin/busybox /bin/busybox > /b$i; done"
    (context / "Dockerfile").write_text(f"FROM {base}\nARG ROUND\nRUN {' && '.join([script] * 3)}\n")


def one_changed(context: Path, base: str) -> None:
    tree = context / "tree"
    for number in range(20_000):
        path = tree / f"{number % 200}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 50)
    lines = [f"FROM {base}", "WORKDIR /app", "RUN echo dependencies > deps", "COPY tree/0 .", "RUN ls | wc -l > count"]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")


def cached(context: Path, base: str) -> None:
    (context / "Dockerfile").write_text(f"FROM {base}\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(40)))


def c_program(context: Path, base: str) -> None:
    _app(apps.c_program, context, base)


def python_app(context: Path, base: str) -> None:
    _app(apps.python_app, context, base)


def _app(make: Callable[[Path, str, str], Path], context: Path, base: str) -> None:
    """One of the applications, with a build argument that makes its first stage start anew."""
    make(context, base.replace("busybox:1", "debian:12"), base)
    file = context / "Dockerfile"
    first, _, rest = file.read_text().partition("\n")
    file.write_text(f"{first}\nARG ROUND\n{rest}")


WORKLOADS: dict[str, tuple[Callable[[Path, str], None], bool, str]] = {
    "empty": (empty_runs, True, "20 steps of `RUN true`, nothing cached"),
    "sleeps": (sleeps, True, "12 stages of `RUN sleep 1`, joined"),
    "files": (files, True, "COPY of 2,000 files onto scratch"),
    "big": (big_run, True, "one RUN that writes 12 MB"),
    "c": (c_program, True, "multi-stage C program: apt-get install gcc, compile, COPY --from"),
    "python": (python_app, True, "Python application: apt-get install python3-pip, pip install"),
    "changed": (
        one_changed,
        False,
        "one file of 20,000 changed: COPY of its folder and a short RUN after a cached one",
    ),
    "cached": (cached, False, "40 steps, everything cached"),
}


def seconds(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    names = sys.argv[2:] or list(WORKLOADS)
    ground = Path(tempfile.mkdtemp(prefix="img-bench-", dir="/var/tmp"))
    for name in ("registry", "docker", "buildah"):
        (ground / name).mkdir()
    try:
        with servers.registry(ground / "registry") as registry, servers.dockerd(ground / "docker") as host:
            base = bases.push_busybox(registry.host, ground / "busybox")
            bases.push_debian(registry.host)
            print("| workload | img s | docker s | buildah s | docker / img | buildah / img |")
            print("| --- | --- | --- | --- | --- | --- |")
            for name in names:
                print(_row(ground, base, host, name, rounds), flush=True)
    finally:
        subprocess.run(["rm", "-rf", str(ground)], check=False)


def _row(ground: Path, base: str, host: str, name: str, rounds: int) -> str:
    make, cold, words = WORKLOADS[name]
    context = ground / name
    context.mkdir()
    make(context, base)
    times: dict[str, list[float]] = {"img": [], "docker": [], "buildah": []}
    for number in range(rounds + 1):
        extra = ["--build-arg", f"ROUND={number}"] if cold else []
        for builder, act in _builders(ground, context, host, extra).items():
            took = seconds(act)
            if number:
                times[builder].append(took)
        if name in ("files", "changed"):  # a label does not undo a cached COPY: change a file instead
            (context / "tree" / "0" / "file0").write_text(str(number))
    shutil.rmtree(context)
    middle = {builder: statistics.median(values) for builder, values in times.items()}
    ratios = [
        statistics.median(p / i for p, i in zip(times[b], times["img"], strict=True)) for b in ("docker", "buildah")
    ]
    cells = [f"{middle[b]:.2f}" for b in ("img", "docker", "buildah")] + [f"{ratio:.1f}" for ratio in ratios]
    return f"| {words} | {' | '.join(cells)} |"


def _builders(ground: Path, context: Path, host: str, extra: list[str]) -> dict[str, Callable[[], object]]:
    def img() -> None:
        done = builders.img("build", "-q", "-t", "bench", *extra, str(context), root=ground / "store")
        assert done.returncode == 0, done.stderr

    def docker() -> None:
        env = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": host}
        argv = [builders.DOCKER, "build", "-q", "--network", "host", "-t", "bench", *extra, str(context)]
        subprocess.run(argv, env=env, check=True, capture_output=True)

    def buildah() -> None:
        folder = ground / "buildah"
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "overlay"]
        argv = ["buildah", *storage, "bud", "--isolation", "chroot", "--tls-verify=false", "--layers", "-q"]
        argv += ["--signature-policy", str(builders.policy(folder)), "-t", "bench", *extra, str(context)]
        subprocess.run(argv, check=True, capture_output=True)

    return {"img": img, "docker": docker, "buildah": buildah}


if __name__ == "__main__":
    main()
