"""What comes back from a daemon is believed only as far as its digests go; and what is said of a build while it runs."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import bases

from img.engine import Engine
from img.errors import CorruptBlob, ImgError, LayerError
from img.events import Event, StepCached, StepDone, StepFailed, StepStarted
from img.ir.definition import Target
from img.ir.nodes import Exec, Source
from img.ir.values import Notes
from img.oci.spec import OCI_LAYER_GZIP, Descriptor
from img.plugin.registry import Registry
from img_plugins.backends.buildkit import results
from img_plugins.backends.buildkit.api import content_pb2 as content
from img_plugins.backends.buildkit.api import control_pb2 as control
from img_plugins.backends.buildkit.incoming import Incoming
from img_plugins.backends.buildkit.lower import lower
from img_plugins.backends.buildkit.status import Solving, Watch


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "s", {}, Registry([], []))
    yield engine
    engine.close()


def image(folder: Path, change: dict[str, Any] | None = None) -> Path:
    """A layout with one image of one layer; `change` goes into its configuration afterwards, as a liar would."""
    bases.layout(folder, [bases.tar([("a", b"a")])], {})
    if change:
        blobs = folder / "blobs" / "sha256"
        manifest = json.loads((folder / "index.json").read_text())["manifests"][0]
        document = json.loads((blobs / manifest["digest"][7:]).read_text())
        config = json.loads((blobs / document["config"]["digest"][7:]).read_text())
        bases.layout(folder, [], {})
        put = {**config, **change}
        data = json.dumps(put).encode()
        document["config"] |= {"digest": _put(blobs, data), "size": len(data)}
        data = json.dumps(document).encode()
        index = {"schemaVersion": 2, "manifests": [{**manifest, "digest": _put(blobs, data), "size": len(data)}]}
        (folder / "index.json").write_text(json.dumps(index))
    return folder


def _put(blobs: Path, data: bytes) -> str:
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return f"sha256:{digest}"


def archive(folder: Path) -> list[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder), recursive=False)
    return [out.getvalue()]


def pushed(engine: Engine, folder: Path) -> str:
    """Put a layout's blobs into the store, as the daemon does; returns the manifest's digest."""
    for path in (folder / "blobs" / "sha256").iterdir():
        engine.store.blobs.put(path.read_bytes())
    return str(json.loads((folder / "index.json").read_text())["manifests"][0]["digest"])


def test_layers_of_an_archive_and_of_blobs_are_the_same(engine: Engine, tmp_path: Path) -> None:
    folder = image(tmp_path / "l")
    found = results.take(engine, "it", archive(folder))
    assert len(found.layers) == 1 and engine.store.layers.available(found.layers[0])
    assert results.sent(engine, "it", pushed(engine, folder)) == found


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}, CorruptBlob),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, LayerError),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 2}}, LayerError),
        ({"rootfs": {"type": "layers", "diff_ids": ["../../etc"]}}, ImgError),
    ],
)
def test_a_lying_daemon_leaves_nothing_under_a_wrong_name(
    engine: Engine, tmp_path: Path, change: dict[str, Any], kind: type[ImgError]
) -> None:
    folder = image(tmp_path / "l", change)
    with pytest.raises(kind):
        results.take(engine, "it", archive(folder))
    with pytest.raises(kind):
        results.sent(engine, "it", pushed(engine, folder))
    assert not engine.store.layers.available("sha256:" + "0" * 64)


@pytest.mark.parametrize("data", [[], [b""], [b"x" * 2000], [b"\x1f\x8b\x08broken"]])
def test_what_is_no_archive_is_an_error(engine: Engine, data: list[bytes]) -> None:
    with pytest.raises(LayerError):
        results.take(engine, "it", data)


# --- blobs as they are written -------------------------------------------------------------------------------------


class Ended(Exception):
    pass


class Context:
    def abort(self, code: Any, words: str) -> None:
        raise Ended(code.name)


def write(engine: Engine, *requests: content.WriteContentRequest) -> list[content.WriteContentResponse]:
    return list(Incoming(engine).write(iter(requests), Context()))


def test_a_blob_in_pieces(engine: Engine) -> None:
    digest = "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    request = content.WriteContentRequest
    answers = write(
        engine,
        request(action=content.STAT, ref="r", total=10, expected=digest),
        request(action=content.WRITE, data=b"01234"),
        request(action=content.WRITE, data=b"56789", offset=5),
        request(action=content.COMMIT, offset=10, total=10, expected=digest),
    )
    assert [(one.action, one.offset) for one in answers] == [(0, 0), (1, 5), (1, 10), (2, 10)]
    assert answers[-1].digest == digest and engine.store.blobs.read(digest) == b"0123456789"
    with pytest.raises(Ended, match="ALREADY_EXISTS"):
        write(engine, request(action=content.STAT, ref="r", total=10, expected=digest))


def test_a_layer_that_can_be_had_elsewhere_is_not_taken(engine: Engine) -> None:
    layer = Descriptor(OCI_LAYER_GZIP, "sha256:" + "1" * 64, 5)
    engine.store.layers.add_remote("sha256:" + "2" * 64, layer, {"scheme": "docker-image", "ref": "a"})
    with pytest.raises(Ended, match="ALREADY_EXISTS"):
        write(engine, content.WriteContentRequest(action=content.STAT, expected=layer.digest))


@pytest.mark.parametrize("expected", ["sha256:" + "0" * 64, "", "../../x"])
def test_other_bytes_than_promised_are_not_kept(engine: Engine, expected: str) -> None:
    with pytest.raises(ImgError):
        write(
            engine,
            content.WriteContentRequest(action=content.WRITE, data=b"0123", expected=expected),
            content.WriteContentRequest(action=content.COMMIT, offset=4, expected=expected),
        )
    assert not list((engine.store.root / "blobs" / "sha256").iterdir())


def test_a_gap_is_an_error(engine: Engine) -> None:
    with pytest.raises(CorruptBlob):
        write(engine, content.WriteContentRequest(action=content.WRITE, data=b"x", offset=7))


# --- what is said of a build ---------------------------------------------------------------------------------------


class Host:
    cancelled = False

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


def vertex(name: str, group: str = "", **fields: Any) -> control.StatusResponse:
    made = control.Vertex(digest=name, cached=fields.get("cached", False), error=fields.get("error", ""))
    made.progressGroup.id = group
    if fields.get("started", True):
        made.started.FromSeconds(1)
    if fields.get("completed", False):
        made.completed.FromSeconds(3)
    return control.StatusResponse(vertexes=[made])


def watched(*messages: control.StatusResponse) -> tuple[list[str], Solving]:
    """The kinds of the events, in order; ``OP`` in a message stands for the step's op."""
    step = Exec(Source("docker-image", "a@sha256:" + "a" * 64), ("x",), notes=Notes("RUN x"))
    graph = lower(Target(step, {}, "linux/amd64"))
    name = next(digest for digest, nodes in graph.nodes.items() if step in nodes)
    host = Host()
    watch = Watch(host).follow(graph)  # type: ignore[arg-type]
    for message in messages:
        for one in message.vertexes:
            one.digest = one.digest.replace("OP", name)
            one.progressGroup.id = one.progressGroup.id.replace("OP", name)
        for log in message.logs:
            log.vertex = log.vertex.replace("OP", name)
        watch.take(message)
    watch.finish()
    return [type(event).__name__ for event in host.events], watch


STARTED, DONE, CACHED, FAILED = (kind.__name__ for kind in (StepStarted, StepDone, StepCached, StepFailed))


@pytest.mark.parametrize(
    ("messages", "kinds"),
    [
        ([vertex("OP", started=False)], []),
        ([vertex("OP"), vertex("OP", completed=True)], [STARTED, DONE]),
        ([vertex("OP", cached=True, completed=True)], [CACHED]),
        ([vertex("other"), vertex("other", completed=True)], []),
        # a rewritten op is known by its group
        ([vertex("new", "OP"), vertex("new", "OP", completed=True)], [STARTED, DONE]),
        # looked at, then begun again
        ([vertex("OP", completed=True), vertex("OP"), vertex("OP", completed=True)], [STARTED, DONE]),
        ([vertex("OP", completed=True), vertex("OP", completed=True, cached=True)], [STARTED, CACHED]),
        ([vertex("OP", completed=True), vertex("OP"), vertex("OP", error="exit code: 3")], [STARTED, FAILED]),
    ],
)
def test_each_step_is_told_once(messages: list[control.StatusResponse], kinds: list[str]) -> None:
    assert watched(*messages)[0] == kinds


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ('process "x" did not complete successfully: exit code: 7', 7, "failed with exit code 7"),
        ("executor failed running [x]: exit code: 137", 137, "failed with exit code 137 (signal 9)"),
        ("secret a: not found", 1, "secret a: not found"),
    ],
)
def test_a_failure_has_its_status_and_its_last_lines(error: str, status: int, words: str) -> None:
    log = control.StatusResponse(logs=[control.VertexLog(vertex="OP", stream=2, msg=b"one\ntw")])
    more = control.StatusResponse(logs=[control.VertexLog(vertex="OP", stream=1, msg=b"o\nthree")])
    _, watch = watched(vertex("OP"), log, more, vertex("OP", error=error))
    failure = watch.failure()
    assert failure is not None
    assert (failure.status, failure.tail) == (status, ("one", "two", "three")) and words in failure.message


def test_a_cancelled_neighbour_is_not_the_reason() -> None:
    _, watch = watched(vertex("OP"), vertex("OP", error="exit code: 137: context canceled: context canceled"))
    assert watch.failure() is None


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (
            b'runc run failed: unable to start container process: exec: "x": executable file not found',
            127,
            "x: not found",
        ),
        (b'runc run failed: unable to start container process: exec: "x": permission denied', 126, "x: Permission"),
        (
            b"runc run failed: unable to start container process: stat /nowhere: no such file",
            1,
            "can't be started: .*/nowhere",
        ),
        (b"exec x: a program's own words", 1, "failed with exit code 1"),
        (b"said before\nrunc run failed: unable to start container process: exec: no", 1, "failed with exit code 1"),
    ],
)
def test_a_process_that_never_ran(said: bytes, status: int, words: str) -> None:
    log = control.StatusResponse(logs=[control.VertexLog(vertex="OP", stream=2, msg=said)])
    failure = watched(vertex("OP"), log, vertex("OP", error="exit code: 1"))[1].failure()
    assert failure is not None and re.search(words, failure.message), failure
    assert getattr(failure, "status", 1) == status


def test_a_step_that_two_solves_wait_for_is_told_once() -> None:
    """By the one that began; should that be cut short, by the other."""
    step = Exec(Source("docker-image", "a@sha256:" + "a" * 64), ("x",), notes=Notes("RUN x"))
    graph = lower(Target(step, {}, "linux/amd64"))
    name = next(digest for digest, nodes in graph.nodes.items() if step in nodes)
    host = Host()
    watch = Watch(host)  # type: ignore[arg-type]
    one, other = watch.follow(graph), watch.follow(graph)
    for solve in (one, other):
        solve.take(vertex(name))
    one.take(control.StatusResponse(logs=[control.VertexLog(vertex=name, stream=1, msg=b"word")]))
    other.take(control.StatusResponse(logs=[control.VertexLog(vertex=name, stream=1, msg=b"word")]))
    assert [type(event).__name__ for event in host.events] == [STARTED, "StepLog"]
    one.finish()
    other.take(vertex(name, completed=True))
    other.finish()
    assert [type(event).__name__ for event in host.events] == [STARTED, "StepLog", DONE]
    assert watch.ran == [step]
