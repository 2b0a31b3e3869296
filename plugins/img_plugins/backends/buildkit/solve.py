"""One target on a daemon: the session opened, Control.Solve asked, its status told, and what came of it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from img.digest import is_digest
from img.errors import BackendError, Cancelled, ImgError, StepFailed
from img.events import Warning
from img.ir.definition import Target
from img.oci.platform import Platform
from img.ports import Host, Snapshot
from img_plugins.backends.buildkit import dial, results
from img_plugins.backends.buildkit.lower import Graph, refused
from img_plugins.backends.buildkit.rpc import Client
from img_plugins.backends.buildkit.serve import Offered, Session
from img_plugins.backends.buildkit.status import Solving, Watch
from img_plugins.backends.buildkit.together import Stop

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.api import control_pb2 as control

CONFIG = "containerimage.config"
"""The exporters' attribute with the image's configuration; what comes with a plain graph has none."""
ATTEMPTS = 3
LATE = 5
"""Seconds that the last words about a build may come after its end."""
TRANSFER = "img.invalid/transfer"
"""What an image in dockerd is called that is only on its way to us. It goes with its name, which is nobody else's."""

Cache = tuple[str, Mapping[str, str]]


@dataclass(slots=True)
class Job:
    """What all solves of one build share."""

    host: Host
    client: Client
    watch: Watch
    imports: Sequence[Cache] = ()
    exports: Sequence[Cache] = ()
    stop: Stop = field(default_factory=Stop)
    """For those that go on when one has failed."""

    @property
    def stopped(self) -> bool:
        return self.host.cancelled or self.stop.over


def fetch(job: Job, target: Target, graph: Graph, offered: Offered) -> Snapshot:
    """Build `target`, and have its layers in the store. Raises `StepFailed`, `BackendError`, `Cancelled`."""
    if graph.empty:
        return Snapshot()
    if job.client.address.docker and not has_containerd(job.client):
        return _through_dockerd(job, target, graph, offered)
    made: list[Snapshot] = []

    def receive(chunks: Iterable[bytes]) -> None:
        made.append(results.take(job.host, f"what {job.client.address.text} sent", _watched(job, chunks)))

    offered.receive = receive
    answer = run(job, graph, offered, "oci", {CONFIG: json.dumps(_plain_config(target)), "tar": "false"})
    if made:
        return made[0]  # before 0.11, which knows no other way
    digest = answer.get("containerimage.digest", "")
    if not is_digest(digest):
        raise BackendError(f"the BuildKit at {job.client.address.text} built, but sent nothing")
    return results.sent(job.host, f"what {job.client.address.text} sent", digest)


def has_containerd(client: Client) -> bool:
    """Whether a dockerd keeps images in containerd: only then its BuildKit can send them."""
    status = dial.ask(client.address, "/info").get("DriverStatus") or []
    return ["driver-type", "io.containerd.snapshotter.v1"] in status


def _through_dockerd(job: Job, target: Target, graph: Graph, offered: Offered) -> Snapshot:
    """An older dockerd has no exporter that sends an image: it keeps the image, gives it as ``docker save`` does, and forgets
    it again."""
    attempt = 0
    while True:
        attempt += 1
        name = f"{TRANSFER}:{secrets.token_hex(16)}"
        run(job, graph, offered, "moby", {"name": name})
        try:
            saved = _watched(job, dial.saved(job.client.address, name))
            return results.take(job.host, f"what {job.client.address.text} gave", saved)
        except BackendError:
            # a build of the same at the same time makes the same image, and may have taken it away with its own name
            if attempt == ATTEMPTS:
                raise
        finally:
            _forget(job, name)


def _watched(job: Job, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, as long as the build goes on. Raises `Cancelled`."""
    for data in chunks:
        if job.stopped:
            raise Cancelled
        yield data


def _forget(job: Job, name: str) -> None:
    """Take an image's name away, and with its last one the image. What is left behind costs only room."""
    try:
        dial.remove(job.client.address, name)
    except BackendError as error:
        message = f"the image {name} may be left behind: {error.message}"
        job.host.emit(Warning(message, None, time.monotonic()))


def _plain_config(target: Target) -> dict[str, Any]:
    """A configuration for an image whose layers alone are wanted."""
    platform = Platform.parse(target.platform)
    variant = {"variant": platform.variant} if platform.variant else {}
    return {"architecture": platform.architecture, "os": platform.os, **variant, "config": {}}


def run(job: Job, graph: Graph, offered: Offered, exporter: str, attrs: Mapping[str, str]) -> Mapping[str, str]:
    """Build a graph, and hand it to one of the daemon's exporters; returns what that one answers."""
    from img_plugins.backends.buildkit.api import control_pb2 as control

    with Session(job.client, offered) as session:
        entry = control.CacheOptionsEntry
        request = control.SolveRequest(
            Ref=secrets.token_hex(16),
            Definition=graph.definition,
            Exporter=exporter,
            ExporterAttrs=dict(attrs),
            Session=session.id,
            Entitlements=sorted(graph.entitlements),
            Cache=control.CacheOptions(
                Imports=[entry(Type=kind, Attrs=dict(how)) for kind, how in job.imports],
                Exports=[entry(Type=kind, Attrs=dict(how)) for kind, how in job.exports],
            ),
        )
        answer: control.SolveResponse = _solved(job, graph, offered, request)
    return dict(answer.ExporterResponse)


def _solved(job: Job, graph: Graph, offered: Offered, request: control.SolveRequest) -> control.SolveResponse:
    import grpc

    told = job.watch.follow(graph)
    solving = job.client.solve(request)
    forgets = [when(solving.cancel) for when in (job.host.on_cancel, job.stop.then)]
    status = job.client.status(request.Ref)
    telling = threading.Thread(target=partial(_tell, told, status), name="status", daemon=True)
    telling.start()
    try:
        answer: control.SolveResponse = solving.result()
        return answer
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        telling.join(LATE)
        if job.stopped:
            raise Cancelled from error
        raise _failure(job, graph, offered, told.failure(), error) from error
    finally:
        for forget in forgets:
            forget()
        solving.cancel()
        telling.join(LATE)
        status.cancel()
        telling.join()
        told.finish()


def _tell(told: Solving, status: Iterable[Any]) -> None:
    import grpc

    try:
        for response in status:
            told.take(response)
    except grpc.RpcError:
        return  # of a build that never began; the solve says why


def _failure(
    job: Job, graph: Graph, offered: Offered, failed: StepFailed | BackendError | None, error: Any
) -> ImgError:
    """Why a build failed: what we know ourselves, the step that failed, or what the daemon says."""
    if offered.trouble:
        ours = offered.trouble[0]
        ours.place = ours.place or (failed.place if failed is not None else None)
        return ours
    if failed is not None:
        return failed
    said = str(error.details() or "")
    for name in sorted(graph.needs, key=len, reverse=True):
        if name in said.split():
            version = job.client.version()
            which = f"BuildKit {version}" if version else "this version of BuildKit"
            hint = "a newer BuildKit, or --backend chroot or runc"
            return refused(graph.needs[name], f"{which} can't do this ({name})", hint)
    return job.client.failed(error)
