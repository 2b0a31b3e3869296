"""The runc backend: every step is a container of an OCI runtime, over an overlay that the sandbox mounts."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from img.errors import BackendError
from img.ports import Availability
from img_plugins.backends.runc.launch import does_without_cgroups, find
from img_plugins.worker.exec import Process, Start
from img_plugins.worker.steps import StepWorker, root_trouble

RUNTIMES = ("runc", "crun", "youki")


class RuncBackend(StepWorker):
    """Offered as the backend ``runc``. The setting ``runtime`` names the program; empty: the first of `RUNTIMES`."""

    def probe(self) -> Availability:
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[str, Availability]:
        """The program, and whether it can be used."""
        wanted = self.host.settings.get("runtime", "")
        program = next((path for name in ([wanted] if wanted else RUNTIMES) if (path := find(name))), None)
        if program is None:
            what = wanted or ", ".join(RUNTIMES)
            return "", Availability(False, f"there is no program {what}", "install runc or crun, or set IMG_RUNTIME")
        sandbox: Any = self.host.sandbox
        if sandbox.rung not in ("overlay", "userns"):
            return "", Availability(False, f"no namespaces here: {sandbox.reason}", sandbox.remedy)
        trouble = root_trouble(self.host)
        if trouble:
            return "", Availability(False, f"{trouble[0]} ({trouble[1]})", "img doctor says what is missing")
        return program, Availability(True, f"{program}, {'as root' if sandbox.rung == 'overlay' else 'rootless'}")

    def start(self) -> Start:
        program, found = self._found
        if not program:
            raise BackendError(f"the backend runc does not work here: {found.reason}", hint=found.remedy)
        sandbox: Any = self.host.sandbox

        ours = {
            "run": "img_plugins.backends.runc.launch:run",
            "runtime": program,
            "userns": sandbox.rung == "userns",
            "unmanaged": does_without_cgroups(program),
        }

        def run(step: dict[str, Any], stdout: int, stderr: int, memory: int | None) -> Process:
            process: Process = sandbox.run({**step, **ours}, stdout, stderr, memory)
            return process

        return run
