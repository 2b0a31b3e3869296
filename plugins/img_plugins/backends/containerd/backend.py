"""The containerd backend: every step is a task of containerd's, over an overlay of the store's trees that containerd mounts.

What runs is in none of containerd's stores: there is a container record, which its collector never takes, and no
snapshot and no content. Containers of builds that were killed are removed by the step's own process, or else by the next
build.
"""

from __future__ import annotations

import os
import socket
import threading
from functools import cached_property
from typing import Any

from img.errors import BackendError
from img.ports import Availability, Host
from img_plugins.backends.containerd.reach import NAMESPACE, Reached, address_of, connect, reach
from img_plugins.worker.exec import Process, Start
from img_plugins.worker.steps import StepWorker, root_trouble

INFINITY = (1 << 64) - 1
"""No limit, as the runtime specification has it."""

OPTION_SIGNS = ",:\\"
"""What an option of a mount can't have in a path."""


class ContainerdBackend(StepWorker):
    """Offered as the backend ``containerd``. The settings ``containerd_address`` and ``containerd_namespace`` say which, and
    where in it."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._lock = threading.Lock()
        self._client: Any = None

    def probe(self) -> Availability:
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[int, Availability]:
        """containerd's process, and whether it can be used."""
        if os.geteuid() != 0:
            why = f"img is uid {os.geteuid()} here, and containerd takes orders from root only"
            return 0, Availability(False, why, "run img as root, or use another backend: chroot and runc need no root")
        reached = reach(address_of(self.host.settings))
        if not isinstance(reached, Reached):
            return 0, reached
        trouble = self._same_machine(reached.pid) or self._mounts()
        if trouble is not None:
            return 0, trouble
        where = f"containerd {reached.version}, namespace {self._namespace}"
        return reached.pid, Availability(True, where)

    def _same_machine(self, peer: int) -> Availability | None:
        """Whether containerd sees the store, and this process."""
        store = os.fspath(self.host.store.tmp)
        if any(sign in store for sign in OPTION_SIGNS):
            why = f"the store's path {store} has one of {' '.join(OPTION_SIGNS)} in it, which containerd can't mount"
            return Availability(False, why, "put the store (IMG_ROOT) elsewhere")
        remedy = "run img beside containerd, with the same /proc and the store at the same path"
        if not peer:
            return Availability(False, "containerd is in another process namespace than img", remedy)
        try:
            ours, theirs = os.stat(store), os.stat(f"/proc/{peer}/root{os.path.abspath(store)}")
        except OSError:
            return Availability(False, f"containerd does not see the store ({store})", remedy)
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
            return Availability(False, f"containerd sees another folder at {store} than img", remedy)
        return None

    def _mounts(self) -> Availability | None:
        sandbox: Any = self.host.sandbox
        if sandbox.rung != "overlay":
            return Availability(False, f"no mounts here: {sandbox.reason}", sandbox.remedy)
        trouble = root_trouble(self.host)
        if trouble:
            return Availability(False, f"{trouble[0]} ({trouble[1]})", "img doctor says what is missing")
        return None

    @property
    def _namespace(self) -> str:
        return self.host.settings.get("containerd_namespace", "") or NAMESPACE

    def start(self) -> Start:
        peer, found = self._found
        if not found.ok:
            raise BackendError(f"the backend containerd does not work here: {found.reason}", hint=found.remedy)
        client = self._connected()
        return lambda step, stdout, stderr, memory: self._task(client, peer, step, stdout, stderr, memory)

    def _connected(self) -> Any:
        """The connection; made, and the namespace swept, when the first step comes."""
        from img_plugins.backends.containerd.owner import sweep

        with self._lock:
            if self._client is None:
                self._client = connect(address_of(self.host.settings), self._namespace)
                sweep(self._client)
            return self._client

    def _task(
        self, client: Any, peer: int, step: dict[str, Any], stdout: int, stderr: int, memory: int | None
    ) -> Process:
        from img_plugins.backends.containerd.owner import mark
        from img_plugins.backends.containerd.task import Task

        id = f"step-{os.urandom(8).hex()}"
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours = {
            "run": "img_plugins.backends.containerd.launch:run",
            "id": id,
            "peer": peer,
            "limits": _limits(step["limits"]),
            "container": [client.address, client.namespace, id],
        }
        sandbox: Any = self.host.sandbox
        try:
            job = sandbox.run({**step, **ours}, stdout, stderr, memory, (theirs.fileno(),))
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
        return Task(client, job, mine, id, mark(os.getpid()))


def _limits(given: list[list[Any]]) -> list[list[Any]]:
    """The step's resource limits and, for all others, those of this process, as with every other backend: containerd's own are
    its service's."""
    import resource

    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"]
    own = {name.removeprefix("RLIMIT_").lower(): resource.getrlimit(getattr(resource, name)) for name in names}
    asked = {name: (soft, hard) for name, soft, hard in given}
    return [[name, *(n if n >= 0 else INFINITY for n in pair)] for name, pair in {**own, **asked}.items()]
