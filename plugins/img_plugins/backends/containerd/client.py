"""A connection to containerd: calls by the names of its API, errors as `Refusal`. Thread-safe.

Imports gRPC, which is an extra: whoever may lack it asks `img_plugins.backends.containerd.reach` first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from img_plugins.backends.containerd.api import (
    containers_pb2,
    content_pb2,
    diff_pb2,
    images_pb2,
    leases_pb2,
    snapshots_pb2,
    tasks_pb2,
    version_pb2,
)

MODULES = (
    containers_pb2,
    content_pb2,
    diff_pb2,
    images_pb2,
    leases_pb2,
    snapshots_pb2,
    tasks_pb2,
    version_pb2,
)

PATIENCE = 60.0
"""Seconds that a call may take unless it says otherwise."""

OPTIONS = (
    ("grpc.default_authority", "localhost"),  # the path of a socket is none to a server in Go
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.use_local_subchannel_pool", 1),
)

LEASE_HOURS = 24


class Refusal(Exception):
    """containerd refused, failed, or is not there: `code` is gRPC's name for it, e.g. ``NOT_FOUND``."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Containerd:
    """containerd at the socket `address`, in one of its namespaces."""

    def __init__(self, address: str, namespace: str) -> None:
        self.address = address
        self.namespace = namespace
        self._channel = grpc.insecure_channel(f"unix:{address}", options=OPTIONS)
        self._calls: dict[str, Callable[..., Any]] = {}
        self._types: dict[str, Any] = {}
        for service in (s for module in MODULES for s in module.DESCRIPTOR.services_by_name.values()):
            for method in service.methods:
                name = f"{service.name}.{method.name}"
                asks, answers = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
                make = self._channel.stream_stream if method.client_streaming else self._channel.unary_unary
                path = f"/{service.full_name}/{method.name}"
                self._calls[name] = make(path, asks.SerializeToString, answers.FromString)
                self._types[name] = asks

    def call(
        self, method: str, *, timeout: float = PATIENCE, lease: str = "", wait: bool = False, **fields: Any
    ) -> Any:
        """Call ``Service.Method`` with the request's fields. With `wait`, a containerd that is just restarting is waited
        for. Raises `Refusal`."""
        request = self._types[method](**fields)
        try:
            return self._calls[method](request, timeout=timeout, metadata=self._about(lease), wait_for_ready=wait)
        except grpc.RpcError as error:
            raise _refusal(error) from error

    def stream(self, method: str, requests: Iterable[Any], *, lease: str = "") -> Generator[Any, None, None]:
        """Call a method that streams both ways; the answers as they come. Raises `Refusal`, also while iterating. When
        the iterator is closed early the call is cancelled."""
        answers = self._calls[method](iter(requests), metadata=self._about(lease))
        try:
            yield from answers
        except grpc.RpcError as error:
            raise _refusal(error) from error
        finally:
            answers.cancel()

    @contextmanager
    def lease(self, id: str, **labels: str) -> Iterator[str]:
        """A lease for the time of the block: what is made under it is not collected before it ends. Should this process
        die it expires by itself after `LEASE_HOURS`. `labels` are further ones."""
        from datetime import UTC, datetime, timedelta

        until = (datetime.now(UTC) + timedelta(hours=LEASE_HOURS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.call("Leases.Create", id=id, labels={"containerd.io/gc.expire": until, **labels})
        try:
            yield id
        finally:
            try:
                self.call("Leases.Delete", id=id)
            except Refusal as refusal:
                if refusal.code not in ("NOT_FOUND", "UNAVAILABLE"):
                    raise

    def close(self) -> None:
        self._channel.close()

    def _about(self, lease: str) -> tuple[tuple[str, str], ...]:
        found = (("containerd-namespace", self.namespace),)
        return (*found, ("containerd-lease", lease)) if lease else found


def _refusal(error: grpc.RpcError) -> Refusal:
    code, words = error.code(), error.details()
    return Refusal(code.name, str(words or code.name).strip())
