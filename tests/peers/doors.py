"""A dockerd's BuildKit offered as a plain one: over a socket, over TLS, and behind a program that pipes to it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

PIPE = """#!/usr/bin/python3
import socket, sys, threading
{check}
inner = socket.socket(socket.AF_UNIX)
inner.connect({path!r})

def pump(read, write, end):
    while data := read(65536):
        write(data)
    end()

out = sys.stdout.buffer.raw
threading.Thread(target=pump, args=(sys.stdin.buffer.raw.read, inner.sendall, lambda: inner.shutdown(1)), daemon=True).start()
pump(inner.recv, out.write, lambda: None)
"""


def upgraded(docker: str) -> socket.socket:
    """A connection to the gRPC server inside the dockerd of a socket."""
    inner = socket.socket(socket.AF_UNIX)
    inner.connect(docker)
    inner.sendall(b"POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += inner.recv(1)
    assert b" 101 " in head, head
    return inner


@contextlib.contextmanager
def plain(docker: str, path: Path) -> Iterator[str]:
    """The BuildKit as ``unix://``."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    with _serving(listener, docker, lambda connection: connection):
        yield f"unix://{path}"


@contextlib.contextmanager
def tls(docker: str, cert: Path, key: Path, authority: Path) -> Iterator[str]:
    """The BuildKit as ``tcp://``, for clients whose certificate `authority` has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    with _serving(listener, docker, lambda connection: context.wrap_socket(connection, server_side=True)):
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def pipe(program: Path, inner: Path, check: str = "") -> None:
    """Write a program that pipes its standard input and output to the socket `inner`, as ``buildctl dial-stdio`` does."""
    program.write_text(PIPE.format(path=str(inner), check=check))
    program.chmod(0o755)


@contextlib.contextmanager
def contained(docker: str, image: str, inner: Path, folder: Path) -> Iterator[str]:
    """A container of the dockerd `docker` in which ``buildctl dial-stdio`` leads to the socket `inner`, as in one that
    buildx has started; its name. `folder` is new, `image` a Debian, whose programs are this machine's."""
    folder.mkdir()
    pipe(folder / "buildctl", inner, "assert sys.argv[1:] == ['dial-stdio'], sys.argv")
    client = ["/usr/bin/docker", "-H", docker]
    mounts = [word for path in ("/usr", str(inner.parent)) for word in ("-v", f"{path}:{path}:ro")]
    argv = [
        *client,
        "run",
        "-d",
        "--rm",
        "--network=host",
        "-e",
        f"PATH={folder}:/usr/bin",
        *mounts,
        image,
        "sleep",
        "600",
    ]
    name = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield name
    finally:
        subprocess.run([*client, "kill", name], check=True, capture_output=True)


@contextlib.contextmanager
def _serving(listener: socket.socket, docker: str, wrap: Callable[[socket.socket], socket.socket]) -> Iterator[None]:
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_join, args=(connection, docker, wrap), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _join(connection: socket.socket, docker: str, wrap: Callable[[socket.socket], socket.socket]) -> None:
    try:
        near = wrap(connection)
    except OSError:
        connection.close()
        return
    with near, upgraded(docker) as far:

        def pump(one: socket.socket, other: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := one.recv(65536):
                    other.sendall(data)
            for end in (one, other):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far)
        back.join()
