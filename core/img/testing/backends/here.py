"""What cases of the suite put beside a build on this machine, and what they look for afterwards."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def listening(word: bytes) -> Iterator[int]:
    """A server on loopback that says `word` to everybody; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        client.sendall(word)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port: int = server.getsockname()[1]
        try:
            yield port
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def running(mark: str) -> list[int]:
    """Processes of this machine with `mark` as a word of their command line."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if mark.encode() in words:
                    found.append(int(name))
    return found


def until(reached: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for something; fails with `what` if it never comes."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.02)
