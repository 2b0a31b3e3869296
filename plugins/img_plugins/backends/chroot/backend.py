"""The chroot backend: every step is a fork of the sandbox helper, in namespaces and over an overlay of its own."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from time import monotonic
from typing import Any

from img.abilities import ALL
from img.errors import BackendError
from img.events import Warning
from img.ports import Availability, Host
from img_plugins.worker.exec import Process, Start
from img_plugins.worker.steps import StepWorker, root_trouble

RUNGS = {
    "overlay": "overlayfs as root",
    "userns": "overlayfs in a user namespace with a range of ids",
    "plain": "plain copies in namespaces, as overlayfs is refused",
    "one-id": "plain copies in a user namespace with a single id, owners are recorded",
    "copy": "chroot over plain copies, slower and less confined",
}

COPIED = (
    "each RUN gets a plain copy of its root and chroot, which takes time and room, and the container around img is all "
    "that confines it"
)

PLAIN = "each RUN gets a plain copy of its root, which takes time and room"

RECORDED = "each RUN gets a plain copy of its root and a recorder of owners, which takes time and room"

NONE = "assembles only, RUN does not work: "
REMEDY = (
    "put the store (IMG_ROOT) on a disk that overlayfs can write to: ext4, xfs, btrfs or tmpfs; img doctor says more"
)


class ChrootBackend(StepWorker):
    """Offered as the backend ``chroot``. Climbs the highest rung that works here and says which."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._lock = threading.Lock()
        self._told = False

    def probe(self) -> Availability:
        """Files can always be assembled; whether a RUN works is found out by mounting what a step's root takes."""
        return self._found[1]

    @property
    def abilities(self) -> frozenset[str]:
        """What the rung gives: without mounts and namespaces less, without any privilege files alone."""
        rung = self._found[0]
        if rung == "none":
            return frozenset(name for name in ALL if name.startswith("files."))
        if rung == "copy":
            from img_plugins.worker.copied import LACKS

            return ALL - LACKS
        return ALL - {"security.insecure"} if rung == "one-id" else ALL

    @cached_property
    def _found(self) -> tuple[str, Availability]:
        """The rung, and what there is to say about it."""
        sandbox: Any = self.host.sandbox
        rung, reason, remedy = sandbox.rung, sandbox.reason, sandbox.remedy
        if rung in ("overlay", "userns"):
            trouble = root_trouble(self.host)
            if not trouble:
                return rung, Availability(True, RUNGS[rung])
            reason, remedy = f"{trouble[0]} ({trouble[1]})", REMEDY
            if not sandbox.call("img.sandbox.probe:try_alone", os.fspath(self.host.store.scratch())):
                return "plain", Availability(True, f"{RUNGS['plain']}: {reason}", remedy)
            rung = "copy" if rung == "overlay" else "none"
        if rung == "one-id":
            trouble = sandbox.call("img.sandbox.probe:try_alone", os.fspath(self.host.store.scratch()))
            if trouble:
                return "none", Availability(True, f"{NONE}{trouble[0]} ({trouble[1]})", remedy)
        if rung in ("copy", "one-id"):
            return rung, Availability(True, f"{RUNGS[rung]}: {reason}", remedy)
        return rung, Availability(True, f"{NONE}{reason}", remedy)

    def start(self) -> Start:
        rung, found = self._found
        if rung == "none":
            why = found.reason.removeprefix(NONE)
            raise BackendError(f"RUN does not work here: {why}", hint=found.remedy)
        if rung in ("copy", "one-id", "plain"):
            return self._start_copied
        sandbox: Any = self.host.sandbox

        def run(step: dict[str, Any], stdout: int, stderr: int, memory: int | None) -> Process:
            process: Process = sandbox.run(step, stdout, stderr, memory)
            return process

        return run

    def _start_copied(self, step: dict[str, Any], stdout: int, stderr: int, memory: int | None) -> Process:
        from img_plugins.worker.copied import as_copied
        from img_plugins.worker.plain import as_plain
        from img_plugins.worker.recorded import as_recorded

        ways = {"copy": (as_copied, COPIED), "plain": (as_plain, PLAIN), "one-id": (as_recorded, RECORDED)}
        sandbox: Any = self.host.sandbox
        copies = self.host.store.tmp / "copies"
        rung, found = self._found
        change, what = ways[rung]
        step = change(step, os.fspath(copies))
        with self._lock:
            if not self._told:
                self._told = True
                copies.mkdir(mode=0o700, exist_ok=True)
                why = found.reason.partition(": ")[2]
                self.host.emit(Warning(f"{what}: {why}; to be faster: {found.remedy}", None, monotonic()))
        process: Process = sandbox.run(step, stdout, stderr, memory)
        return process
