"""The chroot backend: every step is a fork of the sandbox helper, in namespaces and over an overlay of its own."""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import Any

from img.errors import BackendError
from img.events import Warning
from img.ports import Availability, Host
from img_plugins.worker.exec import Process, Start
from img_plugins.worker.steps import StepWorker

RUNGS = {
    "overlay": "overlayfs as root",
    "userns": "overlayfs in a user namespace with a range of ids",
    "copy": "chroot over plain copies, slower and less confined",
}

COPIED = (
    "each RUN gets a plain copy of its root and chroot, which takes time and room, and the container around img is all "
    "that confines it"
)


class ChrootBackend(StepWorker):
    """Offered as the backend ``chroot``. Climbs the highest rung that works here and says which."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._found: Availability | None = None
        self._lock = threading.Lock()
        self._told = False

    def probe(self) -> Availability:
        """Files can always be assembled; whether a RUN works is found out by mounting an overlay."""
        if self._found is None:
            self._found = self._try()
        return self._found

    def _try(self) -> Availability:
        sandbox: Any = self.host.sandbox
        if sandbox.rung == "none":
            return Availability(True, f"assembles only, RUN does not work: {sandbox.reason}", sandbox.remedy)
        if sandbox.rung == "copy":
            return Availability(True, f"{RUNGS['copy']}: {sandbox.reason}", sandbox.remedy)
        work = self.host.store.scratch()
        trouble = sandbox.call("img.sandbox.probe:try_overlay", os.fspath(work))
        if trouble:
            remedy = "put the store (IMG_ROOT) on a disk that overlayfs can write to: ext4, xfs, btrfs or tmpfs"
            return Availability(True, f"assembles only, RUN does not work: no overlay here ({trouble})", remedy)
        return Availability(True, RUNGS[sandbox.rung])

    def start(self) -> Start:
        sandbox: Any = self.host.sandbox
        if sandbox.rung == "none":
            raise BackendError(f"RUN does not work here: {sandbox.reason}", hint=sandbox.remedy)

        if sandbox.rung == "copy":
            return self._start_copied

        def run(step: dict[str, Any], stdout: int, stderr: int, memory: int | None) -> Process:
            process: Process = sandbox.run(step, stdout, stderr, memory)
            return process

        return run

    def _start_copied(self, step: dict[str, Any], stdout: int, stderr: int, memory: int | None) -> Process:
        from img_plugins.worker.copied import as_copied

        sandbox: Any = self.host.sandbox
        copies = self.host.store.tmp / "copies"
        step = as_copied(step, os.fspath(copies))
        with self._lock:
            if not self._told:
                self._told = True
                copies.mkdir(mode=0o700, exist_ok=True)
                self.host.emit(
                    Warning(f"{COPIED}: {sandbox.reason}; to be faster, {sandbox.remedy}", None, monotonic())
                )
        process: Process = sandbox.run(step, stdout, stderr, memory)
        return process
