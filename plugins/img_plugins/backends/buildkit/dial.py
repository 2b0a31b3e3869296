"""How connections to a BuildKit are opened: by its address, and for dockerd by upgrading an HTTP request."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from img.errors import BackendError
from img_plugins.backends.buildkit.address import Address, Tls
from img_plugins.backends.buildkit.streams import ProgramStream, SocketStream, Stream

SECONDS = 20
"""How long a daemon may take to answer a connection."""
HEAD = 1 << 16
"""Bytes of an HTTP answer's head at most."""


def connect(address: Address) -> socket.socket:
    """A socket of a unix or tcp address. Raises `BackendError`."""
    try:
        if address.kind == "unix":
            connection = _local(address.target)
        else:
            host, _, port = address.target.rpartition(":")
            connection = socket.create_connection((host.strip("[]"), int(port)), SECONDS)
            if address.tls:
                connection = _context(address.tls).wrap_socket(connection, server_hostname=address.tls.name or host)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackendError(f"can't connect to {address.target}: {reason}", hint=f"for {address.text}") from error
    connection.settimeout(None)
    return connection


def _local(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SECONDS)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.authority or None)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def upgraded(address: Address, path: str, headers: Sequence[tuple[str, str]] = ()) -> Stream:
    """A connection of dockerd's API that speaks HTTP/2 from now on. Raises `BackendError`."""
    connection = connect(address)
    lines = [f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: h2c"]
    lines += [f"{name}: {value}" for name, value in headers]
    try:
        connection.settimeout(SECONDS)
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)  # not one byte of what comes after may be taken
            if not byte or len(head) > HEAD:
                break
            head += byte
        connection.settimeout(None)
    except OSError as error:
        connection.close()
        raise BackendError(f"{address.text} does not answer: {error.strerror or error}") from error
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if words[1:2] != [b"101"]:
        connection.close()
        said = b" ".join(words[1:]).decode("utf-8", "replace") or "nothing"
        raise BackendError(
            f"{address.text} has no BuildKit behind {path}: it says {said}", hint="dockerd 18.09 or later"
        )
    return SocketStream(connection)


def piped(address: Address) -> Stream:
    """A connection through a program that talks to a container or a pod. Raises `BackendError`."""
    return ProgramStream(command(address))


def command(address: Address) -> list[str]:
    """The program and its arguments."""
    options = address.options
    if address.kind == "docker-container":
        context = ["--context", options["context"]] if "context" in options else []
        argv = ["docker", *context, "exec", "-i", address.target]
    else:
        given = {name: [f"--{name}={options[name]}"] for name in options}
        argv = ["kubectl", *given.get("context", []), *given.get("namespace", [])]
        argv += ["exec", "-i", *given.get("container", []), address.target, "--"]
    return [*argv, "buildctl", "dial-stdio"]


def program(address: Address) -> str:
    """The program that an address needs and that is not installed; empty if all is there."""
    name = {"docker-container": "docker", "kube-pod": "kubectl"}.get(address.kind, "")
    return "" if not name or shutil.which(name) else name


# --- dockerd's own API ---------------------------------------------------------------------------------------------


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Address) -> None:
        super().__init__("docker", timeout=600)
        self._address = address

    def connect(self) -> None:
        self.sock = connect(self._address)


def ask(address: Address, path: str) -> dict[str, Any]:
    """A JSON answer of dockerd's API. Raises `BackendError`."""
    with _answer(address, "GET", path) as answer:
        try:
            document = json.loads(answer.read())
        except (ValueError, OSError, http.client.HTTPException) as error:
            raise BackendError(f"{address.text} answers {path} with something else: {error}") from error
    if not isinstance(document, dict):
        raise BackendError(f"{address.text} answers {path} with something else")
    return document


def saved(address: Address, image: str) -> Iterator[bytes]:
    """The bytes of ``docker save``. Raises `BackendError`."""
    with _answer(address, "GET", f"/images/{image}/get") as answer:
        try:
            while data := answer.read(1 << 20):
                yield data
        except (OSError, http.client.HTTPException) as error:
            raise BackendError(f"{address.text} broke off while it gave the image: {error}") from error


def remove(address: Address, image: str) -> None:
    """``docker rmi``, of the image alone. Raises `BackendError`."""
    _answer(address, "DELETE", f"/images/{image}?noprune=1").close()


def _answer(address: Address, method: str, path: str) -> http.client.HTTPResponse:
    connection = _Connection(address)
    try:
        connection.request(method, path, headers={"Connection": "close"})
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise BackendError(f"{address.text} does not answer {method} {path}: {error}") from error
    if answer.status >= 300:
        said = answer.read(2000).decode("utf-8", "replace").strip()
        answer.close()
        raise BackendError(f"{address.text} says {answer.status} to {method} {path}: {said}")
    return answer


def headers_of(pairs: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """One header a value."""
    return [(name, value) for name, values in pairs.items() for value in values]
