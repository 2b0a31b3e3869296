"""Where cases are built: by img and by BuildKit, some cases ahead of the test that compares them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.differential import contexts
from tests.differential.cases import Case
from tests.peers import builders
from tests.peers.servers import BuildKit

ENVIRONMENT = {"FROM_ENVIRONMENT": "a value of the environment"}
"""For ``--build-arg FROM_ENVIRONMENT`` and secrets from the environment."""

TIMEOUT = 100

BACKEND = os.environ.get("IMG_TEST_BACKEND", "")
"""``buildkit`` has img run every case on the peer itself, which shows what its own graph says of a file."""


@dataclass(frozen=True)
class Built:
    """What came of one case; images are OCI layouts in ``work/ours`` and ``work/theirs``. No peer: `theirs` is None."""

    work: Path
    ours: subprocess.CompletedProcess[str]
    theirs: subprocess.CompletedProcess[str] | None


class Bench:
    """Builds cases in their order, as many at a time as there are processors, while the tests look at earlier ones."""

    def __init__(self, buildkit: BuildKit, folder: Path, names: dict[str, str], cases: Sequence[Case]) -> None:
        self._buildkit = buildkit
        self._folder = folder
        self._names = names
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2))
        self._futures: dict[str, Future[Built]] = {case.id: self._pool.submit(self._build, case) for case in cases}

    def built(self, case: Case) -> Built:
        """The case's outcome, when it is there."""
        return self._futures[case.id].result()

    def close(self) -> None:
        """Give up what has not begun, wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _build(self, case: Case) -> Built:
        work = self._folder / case.id
        work.mkdir(parents=True)
        names = {**self._names, "work": str(work), "context": str(work / "context")}
        context = contexts.write(case, work, names)
        flags = [contexts.named(word, names) for word in case.words("build")]
        ours = self._img(work, [*flags, str(context)])
        return Built(work, ours, None if "spec" in case.keys else self._peer(work, [*flags, str(context)]))

    def _img(self, work: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
        argv = ["build", "--network", "host", "--progress", "plain", "-o", f"type=oci,tar=false,dest={work}/ours"]
        env = {**ENVIRONMENT, "IMG_BUILDKIT_ADDRESS": self._buildkit.host.replace("unix://", "docker://")}
        argv += ["--backend", BACKEND] if BACKEND else []
        return builders.img(*argv, *words, root=self._folder / "store", env=env, timeout=TIMEOUT)

    def _peer(self, work: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
        output = f"type=oci,tar=false,compression=uncompressed,dest={work}/theirs"
        argv = ["build", "--network", "host", "--progress", "plain", "-o", output]
        return self._buildkit.buildx(*argv, *words, env=ENVIRONMENT, timeout=TIMEOUT)


def discard(built: Built) -> None:
    """Remove a case's files."""
    shutil.rmtree(built.work, ignore_errors=True)
