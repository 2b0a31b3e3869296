"""A forward proxy: CONNECT for TLS, with a password."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


class Proxy:
    """`seen` are the request lines, each with its Proxy-Authorization."""

    def __init__(self, user: str, password: str) -> None:
        self._known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.seen: list[str] = []
        self.host = ""

    def allows(self, line: str, headers: dict[str, str]) -> bool:
        self.seen.append(line)
        return headers.get("proxy-authorization") == self._known


class _Connection(socketserver.StreamRequestHandler):
    proxy: Proxy

    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        headers = {}
        while text := self.rfile.readline().decode().strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        if not self.proxy.allows(line, headers) or not line.startswith("CONNECT "):
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = line.split()[1].rpartition(":")
        with socket.create_connection((host, int(port)), 10) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
            back.start()
            _copy(self.connection, there)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextlib.contextmanager
def running(user: str, password: str) -> Iterator[Proxy]:
    """A proxy on loopback for the time of the block."""
    proxy = Proxy(user, password)
    handler = type("Connection", (_Connection,), {"proxy": proxy})
    with _Server(("127.0.0.1", 0), handler) as server:
        proxy.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
