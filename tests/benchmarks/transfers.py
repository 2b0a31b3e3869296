"""An image of 50 layers of 2 MiB, pulled from and pushed to a docker-registry by img and by ``skopeo copy`` in turn:
medians and ratios.

``python -m tests.benchmarks.transfers [ROUNDS]``. Ratios are skopeo / img: above 1, img is faster.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.__main__ import seconds
from tests.peers import bases, builders, servers

LAYERS, SIZE = 50, 2 << 20


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ground = Path(tempfile.mkdtemp(prefix="img-bench-", dir="/var/tmp"))
    (ground / "registry").mkdir()
    times: dict[tuple[str, str], list[float]] = {}
    try:
        with servers.registry(ground / "registry") as registry:
            name = f"{registry.host}/layers:1"
            chance = random.Random(1)
            layers = [bases.tar([(f"file{number}", chance.randbytes(SIZE))]) for number in range(LAYERS)]
            bases.push(bases.layout(ground / "layout", layers, {"Cmd": ["/x"]}), name)
            for number in range(rounds + 1):
                for key, took in _round(ground / f"round{number}", name).items():
                    if number:
                        times.setdefault(key, []).append(took)
                shutil.rmtree(ground / f"round{number}")
    finally:
        subprocess.run(["rm", "-rf", str(ground)], check=False)
    print("| workload | img s | skopeo s | skopeo / img |\n| --- | --- | --- | --- |")
    for what in ("pull", "push"):
        img, skopeo = times["img", what], times["skopeo", what]
        ratio = statistics.median(s / i for s, i in zip(skopeo, img, strict=True))
        print(f"| {what} 50 layers | {statistics.median(img):.2f} | {statistics.median(skopeo):.2f} | {ratio:.1f} |")


def _round(folder: Path, name: str) -> dict[tuple[str, str], float]:
    """One pull by each, and one push of what was pulled to a registry of its own."""
    (folder / "registry").mkdir(parents=True)
    with servers.registry(folder / "registry") as empty:
        pushed = f"{empty.host}/layers"
        acts: dict[tuple[str, str], Callable[[], object]] = {
            ("img", "pull"): lambda: _img(folder, "pull", "-q", name),
            ("skopeo", "pull"): lambda: _skopeo(f"docker://{name}", f"oci:{folder}/out:1"),
            ("img", "push"): lambda: _img(folder, "push", f"{pushed}/img:1"),
            ("skopeo", "push"): lambda: _skopeo(f"oci:{folder}/out:1", f"docker://{pushed}/skopeo:1"),
        }
        found = {}
        for key, act in acts.items():
            if key == ("img", "push"):
                _tag(folder, name, f"{pushed}/img:1")
            found[key] = seconds(act)
        return found


def _tag(folder: Path, name: str, other: str) -> None:
    from img.session import Session

    with Session(folder / "store") as session:
        descriptor = session.store.images.get(name)
        assert descriptor is not None
        session.store.images.set(other, descriptor)


def _img(folder: Path, *arguments: str) -> None:
    done = builders.img(*arguments, root=folder / "store")
    assert done.returncode == 0, done.stderr


def _skopeo(source: str, sink: str) -> None:
    argv = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]
    subprocess.run([*argv, source, sink], check=True, capture_output=True)


if __name__ == "__main__":
    main()
