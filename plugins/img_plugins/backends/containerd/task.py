"""The engine's side of one step: it speaks to containerd, and to the step's child of the sandbox
(`img_plugins.backends.containerd.launch`), which lays the ground, reads the output and kills.

The two take turns. The child says what the container is to be; it is told the task's ``pid`` and says that it has it; it is
told that the task has ``exited`` and says when all output has been passed on; ``reply`` ends it.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from contextlib import suppress
from typing import Any, Protocol

from img.errors import BackendError
from img.sandbox import wire
from img_plugins.backends.containerd.client import Containerd, Refusal
from img_plugins.worker.complaints import classified

RUNTIME = "io.containerd.runc.v2"
SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
OWNER = "img-build/owner"
"""The label that says which process a container belongs to (`img_plugins.backends.containerd.owner`)."""

ROUND = 10.0
"""Seconds after which a wait for a task looks up."""
GRACE = 20.0
"""Seconds that containerd may be gone, or a killed task may linger."""
SHORT = 5.0
"""Seconds that a call of clearing up may take."""


class Job(Protocol):
    """The step in the sandbox."""

    def wait(self) -> dict[str, Any]: ...

    def kill(self) -> None: ...


class Task:
    """See `img_plugins.worker.exec.Process`."""

    def __init__(self, client: Containerd, job: Job, channel: socket.socket, id: str, owner: str) -> None:
        self._client = client
        self._job = job
        self._channel = channel
        self._id = id
        self._owner = owner
        self._killed = 0.0
        self._lost = ""

    def kill(self) -> None:
        """The child kills the container's first process, and with it all others."""
        self._killed = self._killed or time.monotonic()
        self._job.kill()

    def wait(self) -> dict[str, Any]:
        """Raises `BackendError` if containerd goes away."""
        try:
            received = wire.receive(self._channel)
            if received is not None:
                wire.send(self._channel, {"reply": self._reply(received[0])})
        except (BrokenPipeError, ConnectionResetError):
            pass  # the child is gone, and its job says so
        finally:
            self._channel.close()
        reply = self._job.wait()
        if self._lost and not self._killed:
            raise BackendError(
                f"containerd was lost while a step ran: {self._lost}",
                hint=f"is it still running at {self._client.address}? what is left there is removed by the next build",
            )
        return reply

    def _reply(self, plan: dict[str, Any]) -> dict[str, Any]:
        if "failed" in plan:
            return plan
        try:
            return {"status": self._contained(plan)}
        except Refusal as refusal:
            if refusal.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                self._lost = refusal.words
            return {"failed": classified(refusal.words, "containerd")}

    def _contained(self, plan: dict[str, Any]) -> int:
        """Run the task in a container of its own; neither is left, however this ends."""
        spec = json.dumps(plan["spec"]).encode()
        container = {
            "id": self._id,
            "labels": {OWNER: self._owner},
            "runtime": {"name": RUNTIME},
            "spec": {"type_url": SPEC, "value": spec},
        }
        self._client.call("Containers.Create", container=container)
        try:
            status = self._task(plan)
        except BaseException:
            with suppress(Refusal):
                end(self._client, self._id)
            raise
        end(self._client, self._id)
        return status

    def _task(self, plan: dict[str, Any]) -> int:
        call = self._client.call
        made = call("Tasks.Create", container_id=self._id, rootfs=[plan["rootfs"]], **plan["streams"])
        self._told({"pid": made.pid})
        call("Tasks.Start", container_id=self._id)
        status = self._waited()
        self._told({"exited": True})
        return status

    def _told(self, message: dict[str, Any]) -> None:
        """Tell the child, and wait until it has done what there is to do."""
        wire.send(self._channel, message)
        if wire.receive(self._channel) is None:
            raise BrokenPipeError

    def _waited(self) -> int:
        """The task's exit status. containerd may be restarted meanwhile: its tasks outlive it."""
        heard = time.monotonic()
        while True:
            try:
                status: int = self._client.call("Tasks.Wait", container_id=self._id, timeout=ROUND).exit_status
                return status
            except Refusal as refusal:
                now = time.monotonic()
                if refusal.code == "DEADLINE_EXCEEDED":
                    heard = now
                elif refusal.code not in ("UNAVAILABLE", "CANCELLED"):  # what a call gets whose server stops
                    raise
                if now - heard > GRACE or (self._killed and now - self._killed > GRACE):
                    raise
                time.sleep(0.2)


def end(client: Containerd, id: str) -> None:
    """Kill a task, and remove it and its container, as far as they are there. Raises `Refusal` if they can't be."""
    with suppress(Refusal):
        client.call("Tasks.Kill", container_id=id, signal=int(signal.SIGKILL), all=True)
        client.call("Tasks.Wait", container_id=id, timeout=ROUND)
    deadline = time.monotonic() + GRACE
    while not _gone(client, "Tasks.Delete", container_id=id):
        if time.monotonic() > deadline:
            raise Refusal("DEADLINE_EXCEEDED", f"the task {id} does not die")
        time.sleep(0.05)
    if not _gone(client, "Containers.Delete", id=id):
        raise Refusal("FAILED_PRECONDITION", f"the container {id} can't be removed")


def _gone(client: Containerd, method: str, **fields: Any) -> bool:
    """Delete something; whether it is gone. A containerd that is just restarting is waited for."""
    try:
        client.call(method, wait=True, timeout=SHORT, **fields)
    except Refusal as refusal:
        return refusal.code == "NOT_FOUND"
    return True
