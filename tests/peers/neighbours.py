"""What a step should not reach, and what it should: servers on this machine's loopback, on another address of it, and on an
abstract socket."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import NamedTuple

OUTER, INNER, ABSTRACT = "said-outside", "said-on-loopback", "img-test-abstract"


class Neighbours(NamedTuple):
    """`address` and `port` of the server that may be reached, `inner` is the port on the loopback."""

    address: str
    port: int
    inner: int


class _Server(http.server.ThreadingHTTPServer):
    word = ""


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.server.word.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def neighbours() -> Iterator[Neighbours]:
    """All of them, until the end."""
    address = _address()
    outer, inner = (_Server((host, 0), _Answer) for host in (address, "127.0.0.1"))
    outer.word, inner.word = f"{OUTER}\n", f"{INNER}\n"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{ABSTRACT}-{os.getpid()}")
    abstract.listen()
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (outer, inner)]
    for thread in threads:
        thread.start()
    try:
        yield Neighbours(address, outer.server_address[1], inner.server_address[1])
    finally:
        for server in (outer, inner):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
        abstract.close()


def _address() -> str:
    """An IPv4 address of this machine that is not the loopback's."""
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    return next(word for word in found if "." in word and not word.startswith("127."))
