"""What the containerd backend and exporter know without a containerd."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from img.errors import Cancelled
from img.oci.spec import OCI_INDEX, OCI_MANIFEST, Descriptor
from img.store.sweep import _unescaped
from img_cli.config import values
from img_plugins.backends.containerd import owner, reach
from img_plugins.backends.containerd.api.content_pb2 import STAT, WriteAction
from img_plugins.backends.containerd.backend import INFINITY, _limits
from img_plugins.backends.containerd.client import Containerd, Refusal
from img_plugins.backends.containerd.launch import _script
from img_plugins.exporters.containerd.blobs import Ingest
from img_plugins.exporters.containerd.exporter import references
from img_plugins.exporters.containerd.unpacking import chain_ids
from img_plugins.hooks import img_settings

DIGESTS = ["sha256:" + sign * 64 for sign in "abc"]


def test_where_containerd_is(tmp_path: Path) -> None:
    known = [setting for setting in img_settings() if setting.name == "containerd_address"]
    for environ, wanted in (
        ({}, "/run/containerd/containerd.sock"),
        ({"CONTAINERD_ADDRESS": "/a"}, "/a"),
        ({"CONTAINERD_ADDRESS": "/a", "IMG_CONTAINERD_ADDRESS": "/b"}, "/b"),
    ):
        (found,) = values(known, {"HOME": str(tmp_path), **environ})
        assert found.value == wanted
        assert reach.address_of({"containerd_address": found.value}) == wanted
    assert reach.address_of({}, "unix:///c") == "/c"


def test_why_there_is_no_containerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(name: str) -> str:
        found = reach.reach(str(tmp_path / name))
        assert not isinstance(found, reach.Reached)
        assert not found.ok
        assert found.remedy
        return found.reason

    monkeypatch.setattr(reach, "SOON", 0.5)
    assert "there is no socket" in why("none")
    (tmp_path / "file").touch()
    assert "is no socket" in why("file")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "deaf"))
        assert "nothing listens" in why("deaf")
        sock.listen()
        assert "does not answer as containerd does" in why("deaf")


def test_without_grpc() -> None:
    """In a process of its own, as whoever installed img without the extra has it."""
    program = """
import sys
sys.modules["grpc"] = None
from img_plugins.backends.containerd import reach
from img_plugins.exporters.containerd import exporter
from img_plugins.backends.containerd import backend
found = reach.reach("/run/containerd/containerd.sock")
print(found.ok, found.reason, "|", found.remedy)
"""
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False the Python package grpcio is not installed | pip install 'img-build[containerd]'\n"


def test_listing_what_there_is_imports_no_grpc() -> None:
    program = "import sys, img_plugins.hooks, img_plugins.backends.containerd.backend, "
    program += "img_plugins.exporters.containerd.exporter; print([n for n in sys.modules if n in ('grpc', 'google')])"
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_process_is_told_apart_from_those_that_had_its_number() -> None:
    mine = owner.mark(os.getpid())
    assert owner.alive(mine)
    assert not owner.alive(mine + "1")
    assert not owner.alive("x" + mine)
    assert not owner.alive("")
    child = subprocess.Popen(["sleep", "100"])
    theirs = owner.mark(child.pid)
    assert owner.alive(theirs)
    child.kill()
    while owner.alive(theirs):  # a zombie is dead
        pass
    child.wait()
    assert owner.mark(child.pid) == ""


def test_limits_are_those_of_this_process() -> None:
    found = {name: (soft, hard) for name, soft, hard in _limits([["nofile", 5, 6], ["core", -1, -1]])}
    assert found["nofile"] == (5, 6)
    assert found["core"] == (INFINITY, INFINITY)
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    assert found["nproc"] == tuple(n if n >= 0 else INFINITY for n in (soft, hard))


def test_secret_variables_as_a_script() -> None:
    value = b'it\'s a "$HOME" \\ `of`\n\n\xff'
    memory = os.memfd_create("m")
    os.write(memory, b"--" + value)
    step = {"env_secrets": [("A", 2, len(value)), ("B", 0, 2)]}
    script = _script(step, memory)
    assert script is not None
    argv = ["/bin/sh", "-c", '. /dev/stdin && exec "$@" </dev/null', "sh", "/usr/bin/env", "-0"]
    done = subprocess.run(argv, stdin=script, capture_output=True, check=True)
    assert {b"A=" + value, b"B=--"} <= set(done.stdout.split(b"\0"))
    assert _script(step, None) is None
    assert _script({}, memory) is None
    os.close(script)
    os.close(memory)


def test_references_hold_what_a_document_names() -> None:
    a, b, c = (Descriptor("application/x", digest, 1) for digest in DIGESTS)
    manifest = {"schemaVersion": 2, "config": a.to_json(), "layers": [b.to_json(), c.to_json()]}
    found = references(Descriptor(OCI_MANIFEST, "x", 1), json.dumps(manifest).encode())
    prefix = "containerd.io/gc.ref.content"
    assert found == {f"{prefix}.config": a.digest, f"{prefix}.l.0": b.digest, f"{prefix}.l.1": c.digest}
    index = {"schemaVersion": 2, "manifests": [a.to_json(), b.to_json()]}
    found = references(Descriptor(OCI_INDEX, "x", 1), json.dumps(index).encode())
    assert found == {f"{prefix}.m.0": a.digest, f"{prefix}.m.1": b.digest}


def test_chain_ids() -> None:
    """config.md: the first is the diff id; each other is the digest of the one before, a space, and the diff id. The last
    value is sha256sum's."""
    assert chain_ids([]) == []
    assert chain_ids(DIGESTS[:1]) == DIGESTS[:1]
    text = f"{DIGESTS[0]} {DIGESTS[1]}"
    told = (
        subprocess.run(["sha256sum"], input=text.encode(), capture_output=True, check=True).stdout.decode().split()[0]
    )
    assert chain_ids(DIGESTS[:2]) == [DIGESTS[0], f"sha256:{told}"]


def test_a_refusal_has_its_code(tmp_path: Path) -> None:
    client = Containerd(str(tmp_path / "none"), "img")
    with pytest.raises(Refusal) as found:
        client.call("Version.Version", timeout=5)
    client.close()
    assert found.value.code == "UNAVAILABLE"
    assert found.value.words


def test_a_sweep_takes_the_dead_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []

    class Fake:
        def call(self, method: str, **fields: Any) -> Any:
            calls.append((method, fields.get("container_id") or fields.get("id") or ""))
            containers = [
                SimpleNamespace(id=id, labels={"img-build/owner": mark})
                for id, mark in (("dead", "boot/1/2"), ("living", owner.mark(os.getpid())))
            ]
            return SimpleNamespace(containers=containers)

    owner.sweep(Fake())  # type: ignore[arg-type]
    assert ("Containers.Delete", "dead") in calls
    assert ("Tasks.Delete", "dead") in calls
    assert not [call for call in calls if call[1] == "living"]


def test_paths_of_mountinfo() -> None:
    assert _unescaped(rb"/a\040b\134c") == rb"/a b\c"


# --- writes --------------------------------------------------------------------------------------------------------


class Store:
    """A content store that answers as containerd does; `refuses` are refusals to begin with, `has` is how much of the blob
    another write left."""

    def __init__(self, refuses: list[Refusal], has: int = 0) -> None:
        self.refuses = refuses
        self.has = has
        self.written = b""
        self.calls: list[str] = []

    def stream(self, method: str, requests: Iterator[Any], lease: str) -> Iterator[Any]:
        assert lease == "l"
        for request in requests:
            if self.refuses:
                raise self.refuses.pop(0)
            assert request.action == STAT or request.offset == self.has + len(self.written)
            self.written += request.data
            self.calls.append(WriteAction.Name(request.action))
            yield SimpleNamespace(offset=self.has)

    def call(self, method: str, **fields: Any) -> None:
        self.calls.append(method)


def _ingest(store: Store, cancelled: bool = False) -> None:
    blobs = SimpleNamespace(chunks=lambda digest: iter([b"abc", b"def", b"gh"]))
    host = SimpleNamespace(store=SimpleNamespace(blobs=blobs), cancelled=cancelled, emit=lambda event: None)
    descriptor = Descriptor("application/x", DIGESTS[0], 8)
    Ingest(host, store, "l").blob(descriptor, {"k": "v"})  # type: ignore[arg-type]


@pytest.mark.parametrize("left", [0, 3, 4, 8])
def test_only_what_is_missing_is_sent(left: int) -> None:
    store = Store([], left)
    _ingest(store)
    assert store.written == b"abcdefgh"[left:]
    assert store.calls[0] == "STAT"
    assert store.calls[-1] == "COMMIT"


def test_what_is_there_gets_its_labels_and_a_busy_write_is_waited_for() -> None:
    busy = Refusal("UNAVAILABLE", "ref x locked for 1s: unavailable")
    store = Store([busy, busy, Refusal("ALREADY_EXISTS", "there")])
    _ingest(store)
    assert store.calls == ["Content.Update"]


def test_a_write_that_fails_is_aborted_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("img_plugins.exporters.containerd.blobs.time.sleep", lambda seconds: None)
    store = Store([Refusal("FAILED_PRECONDITION", "unexpected commit digest")])
    _ingest(store)
    assert store.calls[0] == "Content.Abort"
    assert store.written == b"abcdefgh"
    full = [Refusal("UNKNOWN", "no space left on device") for _ in range(5)]
    store = Store(full)
    with pytest.raises(Refusal, match="no space left"):
        _ingest(store)
    assert set(store.calls) == {"Content.Abort"}
    with pytest.raises(Cancelled):
        _ingest(Store([]), cancelled=True)
