"""The calls of a BuildKit daemon's service ``Control``, over a channel of grpcio."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from img.errors import BackendError
from img_plugins.backends.buildkit import dial
from img_plugins.backends.buildkit.address import Address, Tls
from img_plugins.backends.buildkit.streams import Door

if TYPE_CHECKING:
    import grpc

    from img_plugins.backends.buildkit.api import control_pb2 as control

SERVICE = "moby.buildkit.v1.Control"
GATEWAY = "moby.buildkit.v1.frontend.LLBBridge"
BUILD = "buildkit-controlapi-buildid"
"""The field of a call's metadata that says in which build a frontend asks."""
MESSAGE = 64 << 20
"""Bytes of a message at most: a graph with heredocs may be large."""
OPTIONS = (("grpc.max_receive_message_length", MESSAGE), ("grpc.max_send_message_length", MESSAGE))
QUIET = ("grpc.enable_http_proxy", 0)
"""A proxy is for the web; daemons are reached as they are."""


class Client:
    """One daemon. The connection is opened at the first call; `close` ends it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._door: Door | None = None
        self._channel: grpc.Channel = self._open()

    def close(self) -> None:
        self._channel.close()
        if self._door is not None:
            self._door.close()

    def _open(self) -> grpc.Channel:
        import grpc

        address = self.address
        options: list[tuple[str, str | int]] = [*OPTIONS, QUIET]
        if address.docker:
            self._door = Door(lambda: dial.upgraded(address, "/grpc"))
        elif address.kind in ("docker-container", "kube-pod"):
            self._door = Door(lambda: dial.piped(address))
        elif address.kind == "tcp":
            if not address.tls:
                return grpc.insecure_channel(address.target, options)
            if address.tls.name:
                options.append(("grpc.ssl_target_name_override", address.tls.name))
            return grpc.secure_channel(address.target, _credentials(address.tls), options)
        path = self._door.path if self._door is not None else address.target
        options.append(("grpc.default_authority", "localhost"))
        return grpc.insecure_channel(f"unix:{path}", options)

    # --- calls -----------------------------------------------------------------------------------------------

    def workers(self, seconds: float = dial.SECONDS) -> control.ListWorkersResponse:
        """What works for the daemon. Raises `BackendError` if it can't be reached in so many seconds."""
        import grpc

        from img_plugins.backends.buildkit.api import control_pb2 as control

        call = self._unary("ListWorkers", control.ListWorkersRequest, control.ListWorkersResponse)
        try:
            found: control.ListWorkersResponse = call(control.ListWorkersRequest(), timeout=seconds)
        except grpc.RpcError as error:
            raise self.failed(error) from error
        return found

    def version(self) -> str:
        """Of the daemon, if it is new enough to say."""
        import grpc

        from img_plugins.backends.buildkit.api import control_pb2 as control

        call = self._unary("Info", control.InfoRequest, control.InfoResponse)
        try:
            return str(call(control.InfoRequest(), timeout=dial.SECONDS).buildkitVersion.version)
        except grpc.RpcError:
            return ""

    def capabilities(self, entitlement: str = "") -> frozenset[str]:
        """The names of what LLB may hold, as a frontend is told them: in a build without a graph, that the `entitlement` is
        asked for too. Raises `BackendError` if the daemon does not grant it."""
        import grpc

        from img_plugins.backends.buildkit.api import control_pb2 as control
        from img_plugins.backends.buildkit.api import gateway_pb2 as gateway

        ref, ended = secrets.token_hex(16), threading.Event()
        asked = self._channel.unary_unary(
            f"/{GATEWAY}/Ping",
            request_serializer=gateway.PingRequest.SerializeToString,
            response_deserializer=gateway.PongResponse.FromString,
        )
        build = self.solve(
            control.SolveRequest(Ref=ref, Entitlements=[entitlement] if entitlement else [], Internal=True)
        )
        answer = asked.future(gateway.PingRequest(), metadata=[(BUILD, ref)], timeout=dial.SECONDS)
        try:
            for one in (build, answer):  # a refusal ends the build, and the question would wait for it to begin
                one.add_done_callback(lambda _: ended.set())
            ended.wait()
            told: gateway.PongResponse = (answer if answer.done() else build).result()
            return frozenset(one.ID for one in told.LLBCaps if one.Enabled)
        except grpc.RpcError as error:
            raise self.failed(error) from error
        finally:
            answer.cancel()
            build.cancel()

    def solve(self, request: control.SolveRequest) -> grpc.Future:
        """Begin to build; cancelling what is returned stops it."""
        from img_plugins.backends.buildkit.api import control_pb2 as control

        return self._unary("Solve", control.SolveRequest, control.SolveResponse).future(request)

    def status(self, ref: str) -> Any:
        """What happens in the build `ref`: an iterator of ``StatusResponse`` that can be cancelled."""
        from img_plugins.backends.buildkit.api import control_pb2 as control

        call = self._channel.unary_stream(
            f"/{SERVICE}/Status",
            request_serializer=control.StatusRequest.SerializeToString,
            response_deserializer=control.StatusResponse.FromString,
        )
        return call(control.StatusRequest(Ref=ref))

    def session(self, pieces: Iterator[control.BytesMessage], metadata: list[tuple[str, str]]) -> Any:
        """A connection in which the daemon is the client: what it says, as pieces."""
        from img_plugins.backends.buildkit.api import control_pb2 as control

        call = self._channel.stream_stream(
            f"/{SERVICE}/Session",
            request_serializer=control.BytesMessage.SerializeToString,
            response_deserializer=control.BytesMessage.FromString,
        )
        return call(pieces, metadata=metadata)

    def _unary(self, name: str, request: Any, response: Any) -> Any:
        return self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def failed(self, error: Any) -> BackendError:
        """An error of a call in words."""
        import grpc

        trouble = self._door.why() if self._door is not None else ""
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            said = _plain(trouble or str(error.details() or error.code().name))
            hint = "may this user use it?" if "ermission denied" in said else "is it running?"
            return BackendError(f"the BuildKit at {self.address.text} can't be reached: {said}", hint=hint)
        return BackendError(f"the BuildKit at {self.address.text} refused: {error.details() or error.code().name}")


def _plain(text: str) -> str:
    """The part of a message that says what is wrong: the last line, behind what grpcio puts before it."""
    last = [line for line in text.splitlines() if line.strip()][-1:] or [text]
    return last[0].rpartition("last error: ")[2]


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    import grpc

    def read(path: str) -> bytes | None:
        try:
            return Path(path).read_bytes() if path else None
        except OSError as error:
            raise BackendError(f"can't read {path}: {error.strerror}", hint="settings buildkit_tls_*") from error

    return grpc.ssl_channel_credentials(read(tls.authority), read(tls.key), read(tls.certificate))
