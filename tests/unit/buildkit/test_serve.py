"""A daemon that asks for more than the build gives it gets nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from img.engine import Engine
from img.errors import ImgError
from img.oci.spec import OCI_MANIFEST, Descriptor
from img.plugin.registry import Registry
from img.ports import Folder
from img.secrets import SecretSource
from img_plugins.backends.buildkit.address import Address
from img_plugins.backends.buildkit.api import content_pb2 as content
from img_plugins.backends.buildkit.api import fsutil_pb2 as fsutil
from img_plugins.backends.buildkit.api import secrets_pb2 as secrets
from img_plugins.backends.buildkit.api import session_pb2 as files
from img_plugins.backends.buildkit.api import ssh_pb2 as ssh
from img_plugins.backends.buildkit.serve import Offered, Session


class Daemon:
    """What a session needs of a client, and a daemon's way to ask: straight over the session's own socket."""

    address = Address("unix:///none", "unix", "/none")

    def __init__(self) -> None:
        self.metadata: list[tuple[str, str]] = []
        self._over = threading.Event()

    def session(self, pieces: Iterator[Any], metadata: list[tuple[str, str]]) -> Any:
        self.metadata = metadata
        return self

    def __iter__(self) -> Iterator[Any]:
        self._over.wait(60)
        return iter(())

    def cancel(self) -> None:
        self._over.set()

    @contextmanager
    def serving(self, offered: Offered) -> Iterator[None]:
        with Session(self, offered) as session:  # type: ignore[arg-type]
            options = [("grpc.default_authority", "localhost")]
            with grpc.insecure_channel(f"unix:{session.path}", options) as self.channel:
                yield

    def ask(self, method: str, request: Any, answer: Any) -> Any:
        call = self.channel.unary_unary(method, type(request).SerializeToString, answer.FromString)
        return call(request, timeout=20)

    def refused(self, method: str, request: Any, answer: Any) -> str:
        with pytest.raises(grpc.RpcError) as caught:
            self.ask(method, request, answer)
        return str(caught.value.code().name)  # type: ignore[attr-defined]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "s", {}, Registry([], []))
    (tmp_path / "word").write_text("shibboleth")
    engine.secrets = {name: SecretSource("file", str(tmp_path / "word")) for name in ("used", "other")}
    yield engine
    engine.close()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


def offered(engine: Engine, folder: Path, blobs: dict[str, Descriptor] | None = None) -> Offered:
    return Offered(
        engine,
        {"context": (Folder(str(folder)), frozenset({("a",)}))},
        secrets=frozenset({"used", "missing"}),
        agents=frozenset({"default"}),
        registries=frozenset({"ours.example", "docker.io"}),
        credentials=lambda host: ("user", f"of {host}"),
        blobs=blobs or {},
    )


def test_secrets_that_a_step_names_and_no_others(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
    with daemon.serving(offered(engine, tmp_path)):
        found = daemon.ask(method, secrets.GetSecretRequest(ID="used"), secrets.GetSecretResponse)
        assert found.data == b"shibboleth"
        for name in ("other", "missing", ""):
            assert daemon.refused(method, secrets.GetSecretRequest(ID=name), secrets.GetSecretResponse) == "NOT_FOUND"


def test_credentials_of_the_registries_that_the_build_names(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    method = "/moby.filesync.v1.Auth/Credentials"
    with daemon.serving(offered(engine, tmp_path)):

        def asked(host: str) -> str:
            return str(daemon.ask(method, files.CredentialsRequest(Host=host), files.CredentialsResponse).Secret)

        assert asked("ours.example") == "of ours.example"
        assert asked("registry-1.docker.io") == "of docker.io"
        assert asked("theirs.example") == asked("") == asked("ours.example.evil.example") == ""


def test_folders_by_their_names(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with daemon.serving(offered(engine, tmp_path)):
        call = daemon.channel.stream_stream(
            "/moby.filesync.v1.FileSync/DiffCopy", fsutil.Packet.SerializeToString, fsutil.Packet.FromString
        )
        fin = fsutil.Packet(type=fsutil.Packet.PACKET_FIN)
        packets = list(call(iter([fin]), metadata=(("dir-name", "context"),), timeout=20))
        assert [packet.stat.path for packet in packets if packet.stat.path] == ["a"]
        everything = (("dir-name", "context"), ("include-patterns", "**"), ("followpaths", "b"))
        packets = list(call(iter([fin]), metadata=everything, timeout=20))
        assert [packet.stat.path for packet in packets if packet.stat.path] == ["a"]
        for name in ("other", "", "../context", str(tmp_path)):
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter([fin]), metadata=(("dir-name", name),), timeout=20))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]


def test_blobs_of_the_build_s_own_images(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    store = engine.store.blobs
    mine, other = (Descriptor(OCI_MANIFEST, store.put(data), len(data)) for data in (b"0123456789", b"other"))
    with daemon.serving(offered(engine, tmp_path, {mine.digest: mine})):
        service = "/containerd.services.content.v1.Content"
        info = daemon.ask(f"{service}/Info", content.InfoRequest(digest=mine.digest), content.InfoResponse)
        assert info.info.size == 10
        request, answer = content.ReadContentRequest, content.ReadContentResponse
        read = daemon.channel.unary_stream(f"{service}/Read", request.SerializeToString, answer.FromString)
        asked = request(digest=mine.digest, offset=3, size=4)
        assert b"".join(piece.data for piece in read(asked, timeout=20)) == b"3456"
        assert daemon.refused(f"{service}/Info", content.InfoRequest(digest=other.digest), content.InfoResponse) == (
            "NOT_FOUND"
        )
        with pytest.raises(grpc.RpcError):
            list(read(request(digest=other.digest), timeout=20))


def test_agents_that_there_are_not(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    with daemon.serving(offered(engine, tmp_path)):
        method = "/moby.sshforward.v1.SSH/CheckAgent"
        for name in ("", "default", "other"):
            assert daemon.refused(method, ssh.CheckAgentRequest(ID=name), ssh.CheckAgentResponse) == "NOT_FOUND"


def test_only_the_services_that_the_build_needs_are_there(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    with daemon.serving(Offered(engine)):
        names = [value for name, value in daemon.metadata if name == "x-docker-expose-session-grpc-method"]
        assert sorted(names) == ["/grpc.health.v1.Health/Check", "/moby.filesync.v1.Auth/Credentials"]
        method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
        assert daemon.refused(method, secrets.GetSecretRequest(ID="used"), secrets.GetSecretResponse) == "UNIMPLEMENTED"


def test_what_goes_wrong_here_is_kept_in_our_words(engine: Engine, daemon: Daemon, tmp_path: Path) -> None:
    engine.secrets = {"used": SecretSource("file", str(tmp_path / "gone"))}
    asked = offered(engine, tmp_path)
    with daemon.serving(asked):
        method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
        assert daemon.refused(method, secrets.GetSecretRequest(ID="used"), secrets.GetSecretResponse) == (
            "FAILED_PRECONDITION"
        )
    assert isinstance(asked.trouble[0], ImgError) and "used" in asked.trouble[0].message
