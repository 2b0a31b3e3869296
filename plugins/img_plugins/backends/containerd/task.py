"""The engine's side of one step: it speaks to containerd, and to the step's child of the sandbox
(`img_plugins.backends.containerd.launch`), which lays the ground, reads the output and kills.

Messages of the child: what the container is to be; ``drained``, when all output has been passed on. Messages to it: the
task's ``pid``; ``exited``; ``reply``, which ends it.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from contextlib import suppress
from typing import Any, Protocol

from img.sandbox import wire
from img_plugins.backends.containerd.client import Containerd, Refusal
from img_plugins.worker.complaints import classified

RUNTIME = "io.containerd.runc.v2"
SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
OWNER = "img-build/owner"
"""The label that says which process a container belongs to (`img_plugins.backends.containerd.owner`)."""

ROUND = 10.0
"""Seconds after which a wait for a task looks up."""
GRACE = 60.0
"""Seconds that containerd may be gone, or a killed task may linger."""


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

    def kill(self) -> None:
        """The child kills the container's first process, and with it all others."""
        self._killed = self._killed or time.monotonic()
        self._job.kill()

    def wait(self) -> dict[str, Any]:
        try:
            received = wire.receive(self._channel)
            if received is not None:
                wire.send(self._channel, {"reply": self._reply(received[0])})
        except (BrokenPipeError, ConnectionResetError):
            pass  # the child is gone, and its job says so
        finally:
            self._channel.close()
        return self._job.wait()

    def _reply(self, plan: dict[str, Any]) -> dict[str, Any]:
        if "failed" in plan:
            return plan
        try:
            return {"status": self._contained(plan)}
        except Refusal as refusal:
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
            return self._task(plan)
        finally:
            end(self._client, self._id)

    def _task(self, plan: dict[str, Any]) -> int:
        call = self._client.call
        made = call("Tasks.Create", container_id=self._id, rootfs=[plan["rootfs"]], **plan["streams"])
        wire.send(self._channel, {"pid": made.pid})
        call("Tasks.Start", container_id=self._id)
        status = self._waited()
        wire.send(self._channel, {"exited": True})
        wire.receive(self._channel)
        return status

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
                elif refusal.code != "UNAVAILABLE":
                    raise
                if now - heard > GRACE or (self._killed and now - self._killed > GRACE):
                    raise
                time.sleep(0.2)


def end(client: Containerd, id: str) -> None:
    """Kill a task, and remove it and its container, as far as they are there. Raises `Refusal` if they can't be."""
    with suppress(Refusal):
        client.call("Tasks.Kill", container_id=id, signal=int(signal.SIGKILL), all=True)
    deadline = time.monotonic() + GRACE
    while True:
        try:
            client.call("Tasks.Delete", container_id=id, wait=True)
        except Refusal as refusal:
            if refusal.code == "FAILED_PRECONDITION" and time.monotonic() < deadline:  # it is still dying
                time.sleep(0.05)
                continue
            if refusal.code != "NOT_FOUND":
                raise
        break
    try:
        client.call("Containers.Delete", id=id, wait=True)
    except Refusal as refusal:
        if refusal.code != "NOT_FOUND":
            raise
