"""A socket for a step that leads to an ssh agent of the user: signing and listing keys, nothing else.

The agent's own socket would not do. In a user namespace it belongs to nobody the step could be; and whoever reaches it
may also remove, add and lock keys. So the engine listens on a socket of the step's own and passes on only those requests
that read (draft-ietf-sshm-ssh-agent, "Message numbers").
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress

CLIENTS = 64
"""Connections at one time; more are closed at once."""
FRAME = 256 << 10
"""Bytes of the largest message, as in OpenSSH."""

_FAILURE = b"\x05"
_READING = (11, 13)  # REQUEST_IDENTITIES, SIGN_REQUEST
_EXTENSION = 27
_EXTENSIONS = (b"query", b"session-bind@openssh.com")


class Relay:
    """Listens at `path` until `close`. Threads: one that accepts, one for each connection."""

    def __init__(self, path: str, agent: str) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._open: set[socket.socket] | None = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # an address has 108 bytes, a path may have more
            self._listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        finally:
            os.close(folder)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept, name="ssh", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        with self._lock:
            connections, self._open = self._open or set(), None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._hold(client):
                threading.Thread(target=self._serve, args=(client,), name="ssh client", daemon=True).start()
            else:
                client.close()

    def _hold(self, connection: socket.socket) -> bool:
        with self._lock:
            if self._open is None or len(self._open) >= 2 * CLIENTS:
                return False
            self._open.add(connection)
            return True

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            try:
                if self._hold(agent):
                    agent.connect(self._agent)
                    _converse(client, agent)
            except OSError:
                pass
            finally:
                with self._lock:
                    if self._open is not None:
                        self._open -= {client, agent}


def _converse(client: socket.socket, agent: socket.socket) -> None:
    while (request := _frame(client)) is not None:
        reply: bytes | None = _FAILURE
        if allowed(request):
            agent.sendall(_framed(request))
            reply = _frame(agent)
        if reply is None:
            return
        client.sendall(_framed(reply))


def allowed(request: bytes) -> bool:
    """Whether a request only reads from the agent."""
    if request[:1] and request[0] == _EXTENSION and len(request) >= 5:
        size: int = struct.unpack("!I", request[1:5])[0]
        return request[5 : 5 + size] in _EXTENSIONS
    return bool(request) and request[0] in _READING


def _framed(message: bytes) -> bytes:
    return struct.pack("!I", len(message)) + message


def _frame(sock: socket.socket) -> bytes | None:
    """The next message; None at the end, and for one that is too long."""
    head = _exactly(sock, 4)
    if head is None:
        return None
    size: int = struct.unpack("!I", head)[0]
    return _exactly(sock, size) if size <= FRAME else None


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            return None
        data += more
    return data
