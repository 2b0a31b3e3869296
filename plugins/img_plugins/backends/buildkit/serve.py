"""What we serve to a daemon while it builds for us: the *session*, a connection in which the daemon is the client.

Files of contexts, secrets, ssh agents, credentials, and a place to send results to; each only what the build has asked for.
grpcio serves on a unix socket that only we can reach, and our end of the session is joined with it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from img.errors import BackendError, Cancelled, ImgError
from img.files.folder import FolderTree
from img.oci.spec import Descriptor
from img.ports import Folder, Host
from img_plugins.backends.buildkit import dial
from img_plugins.backends.buildkit.content import Content
from img_plugins.backends.buildkit.filesync import send
from img_plugins.backends.buildkit.incoming import Incoming
from img_plugins.backends.buildkit.needed import Needed, Pattern
from img_plugins.backends.buildkit.rpc import OPTIONS, Client
from img_plugins.backends.buildkit.streams import SocketStream, join, private_folder
from img_plugins.worker.relay import Relay

CALLS = 64
"""Calls that are answered at one time: a folder, a secret, or one connection to an agent each."""
HUB = ("registry-1.docker.io", "index.docker.io", "docker.io", "https://index.docker.io/v1/")
HEALTHY = b"\x08\x01"
"""``grpc.health.v1.HealthCheckResponse`` with the status SERVING."""

Receive = Callable[[Iterable[bytes]], None]


@dataclass(slots=True)
class Offered:
    """What one build lets the daemon have."""

    host: Host
    folders: Mapping[str, tuple[Folder, frozenset[Pattern]]] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    registries: frozenset[str] = frozenset()
    """Hosts whose credentials may be asked for: those that the build names."""
    credentials: Callable[[str], tuple[str, str] | None] = lambda host: None
    blobs: dict[str, Descriptor] = field(default_factory=dict)
    """Of images that no registry has."""
    receive: Receive | None = None
    """Takes the file that an exporter sends."""
    trouble: list[ImgError] = field(default_factory=list)
    """What went wrong on our side, in words that are better than the daemon's."""


class Session:
    """Use as a context manager: the daemon is connected, and may ask, until the end of the block."""

    def __init__(self, client: Client, offered: Offered) -> None:
        self.id = secrets.token_hex(16)
        self._client = client
        self._offered = offered
        self._folder = private_folder()
        self.path = f"{self._folder}/session"
        """The socket where it is served."""
        self._relays: dict[str, Relay] = {}
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self._server: Any = None
        self._pool = ThreadPoolExecutor(CALLS, "session")

    def __enter__(self) -> Session:
        import grpc

        try:
            self._server = grpc.server(self._pool, options=[*OPTIONS, ("grpc.so_reuseport", 0)])
            services = self._services(grpc)
            handlers = [grpc.method_handlers_generic_handler(name, calls) for name, calls in services.items()]
            self._server.add_generic_rpc_handlers(handlers)
            self._server.add_insecure_port(f"unix:{self.path}")
            self._server.start()
            self._connect([f"/{name}/{call}" for name, calls in services.items() for call in calls])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end()
        if self._server is not None:
            self._server.stop(0).wait(5)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for relay in self._relays.values():
            relay.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the connection --------------------------------------------------------------------------------------

    def _connect(self, calls: list[str]) -> None:
        names = ("uuid", self.id), ("name", "img"), ("sharedkey", self._shared_key())
        headers = [(f"x-docker-expose-session-{name}", value) for name, value in names]
        headers += [("x-docker-expose-session-grpc-method", call) for call in calls]
        near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        near.connect(self.path)
        stream = SocketStream(near)
        self._ends.append(stream.close)
        if self._client.address.docker:
            far = dial.upgraded(self._client.address, "/session", headers)
            self._ends.append(far.close)
            threading.Thread(target=join, args=(stream, far), name="session", daemon=True).start()
            return
        answers = self._client.session(_pieces(stream), headers)
        self._ends.append(answers.cancel)
        threading.Thread(target=_pump, args=(answers, stream), name="session", daemon=True).start()

    def _shared_key(self) -> str:
        """What tells the daemon that a folder of the same name, of another session, is the same one: so that only what
        changed is sent again."""
        from img.digest import digest_of

        places = sorted(folder.path for folder, _ in self._offered.folders.values())
        return digest_of(["buildkit", os.fspath(self._offered.host.store.root), socket.gethostname(), *places])[7:]

    # --- what is served --------------------------------------------------------------------------------------

    def _services(self, grpc: Any) -> dict[str, dict[str, Any]]:
        from img_plugins.backends.buildkit.api import content_pb2, fsutil_pb2, secrets_pb2, session_pb2, ssh_pb2

        def call(function: Callable[..., Any], request: Any, streams: str = "") -> Any:
            make = getattr(grpc, f"{streams or 'unary_unary'}_rpc_method_handler")
            return make(self._told(function), request.FromString, lambda message: message.SerializeToString())

        both = "stream_stream"
        services = {
            "grpc.health.v1.Health": {
                "Check": grpc.unary_unary_rpc_method_handler(lambda request, context: HEALTHY),
            },
            "moby.filesync.v1.Auth": {"Credentials": call(self._credentials, session_pb2.CredentialsRequest)},
        }
        if self._offered.folders:
            services["moby.filesync.v1.FileSync"] = {"DiffCopy": call(self._send, fsutil_pb2.Packet, both)}
        if self._offered.receive is not None:
            services["moby.filesync.v1.FileSend"] = {"DiffCopy": call(self._receive, session_pb2.BytesMessage, both)}
        if self._offered.blobs or self._offered.receive is not None:
            blobs, incoming = Content(self._offered.host, self._offered.blobs), Incoming(self._offered.host)
            services["containerd.services.content.v1.Content"] = {
                "Info": call(blobs.info, content_pb2.InfoRequest),
                "Read": call(blobs.read, content_pb2.ReadContentRequest, "unary_stream"),
                "Write": call(incoming.write, content_pb2.WriteContentRequest, both),
                "Abort": call(incoming.abort, content_pb2.AbortRequest),
            }
        if self._offered.secrets:
            services["moby.buildkit.secrets.v1.Secrets"] = {
                "GetSecret": call(self._secret, secrets_pb2.GetSecretRequest)
            }
        if self._offered.agents:
            services["moby.sshforward.v1.SSH"] = {
                "CheckAgent": call(self._check_agent, ssh_pb2.CheckAgentRequest),
                "ForwardAgent": call(self._forward, ssh_pb2.BytesMessage, both),
            }
        return services

    def _told(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with its errors kept, and told to the daemon by code and sentence."""
        import grpc

        def failed(error: ImgError, context: Any) -> None:
            if not isinstance(error, Cancelled):
                self._offered.trouble.append(error)
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.message)

        def single(request: Any, context: Any) -> Any:
            try:
                return function(request, context)
            except ImgError as error:
                failed(error, context)

        def stream(request: Any, context: Any) -> Iterator[Any]:
            try:
                yield from function(request, context)
            except ImgError as error:
                failed(error, context)

        import inspect

        return stream if inspect.isgeneratorfunction(function) else single

    def _credentials(self, request: Any, context: Any) -> Any:
        from img_plugins.backends.buildkit.api import session_pb2

        host = "docker.io" if request.Host in HUB else request.Host
        found = self._offered.credentials(host) if host in self._offered.registries else None
        return (
            session_pb2.CredentialsResponse(Username=found[0], Secret=found[1])
            if found
            else (session_pb2.CredentialsResponse())
        )

    def _secret(self, request: Any, context: Any) -> Any:
        import grpc

        from img_plugins.backends.buildkit.api import secrets_pb2

        data = self._offered.host.secret(request.ID) if request.ID in self._offered.secrets else None
        if data is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the build was given no secret {request.ID!r}")
        return secrets_pb2.GetSecretResponse(data=data)

    def _send(self, requests: Iterable[Any], context: Any) -> Iterator[Any]:
        import grpc

        name = dict(context.invocation_metadata()).get("dir-name", "")
        found = self._offered.folders.get(name)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the build has no folder {name!r}")
            return
        folder, patterns = found
        tree = FolderTree(folder.path, folder.ignore)
        yield from send(tree, Needed(tree, patterns), requests)

    def _receive(self, requests: Iterable[Any], context: Any) -> Iterator[Any]:
        assert self._offered.receive is not None
        self._offered.receive(message.data for message in requests)
        yield from ()

    # --- ssh -------------------------------------------------------------------------------------------------

    def _agent(self, id: str, context: Any) -> str:
        """The socket of a relay to the agent `id`: it lets nothing through that would change the agent."""
        import grpc

        path = self._offered.host.ssh(id) if id in self._offered.agents else None
        if path is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the build was given no ssh agent {id!r}")
            raise BackendError(f"the build was given no ssh agent {id!r}")
        with self._lock:
            place = f"{self._folder}/agent-{len(self._relays)}"
            if id not in self._relays:
                self._relays[id] = Relay(place, path)
                self._relays[id].place = place  # type: ignore[attr-defined]
            return str(self._relays[id].place)  # type: ignore[attr-defined]

    def _check_agent(self, request: Any, context: Any) -> Any:
        from img_plugins.backends.buildkit.api import ssh_pb2

        self._agent(request.ID or "default", context)
        return ssh_pb2.CheckAgentResponse()

    def _forward(self, requests: Iterable[Any], context: Any) -> Iterator[Any]:
        from img_plugins.backends.buildkit.api import ssh_pb2

        id = dict(context.invocation_metadata()).get("buildkit.ssh.id", "") or "default"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.connect(self._agent(id, context))
            stream = SocketStream(agent)
            threading.Thread(target=_pump, args=(requests, stream), name="ssh", daemon=True).start()
            while data := stream.read():
                yield ssh_pb2.BytesMessage(data=data)


def _pieces(stream: SocketStream) -> Iterator[Any]:
    from img_plugins.backends.buildkit.api import control_pb2 as control

    while data := stream.read():
        yield control.BytesMessage(data=data)


def _pump(messages: Iterable[Any], stream: SocketStream) -> None:
    """Write what comes until it ends, however that comes about."""
    with suppress(Exception):
        for message in messages:
            if message.data and not stream.write(message.data):
                break
    stream.close()
