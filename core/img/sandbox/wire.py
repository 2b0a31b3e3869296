"""Messages between the engine and the helper: a length, JSON, and open descriptors, over a stream socket."""

from __future__ import annotations

import array
import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

MAX_FDS = 32


def send(sock: socket.socket, message: Any, fds: Sequence[int] = ()) -> None:
    """Send one message; the descriptors travel with its first bytes."""
    data = json.dumps(message).encode("ascii")
    data = struct.pack("!Q", len(data)) + data
    if fds:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = sock.sendmsg([data], ancillary)
        data = data[sent:]
    sock.sendall(data)


def receive(sock: socket.socket) -> tuple[Any, list[int]] | None:
    """The next message and its descriptors; None if the other side is gone."""
    size = array.array("i").itemsize
    data, ancillary, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(MAX_FDS * size))
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(payload[: len(payload) - len(payload) % size])
            fds.extend(received)
    if not data:
        return None
    parts = [data]
    have = len(data)
    while have < 8 or have < 8 + struct.unpack("!Q", parts[0][:8])[0]:
        more = sock.recv(1 << 20)
        if not more:
            return None
        if len(parts[0]) < 8:
            parts[0] += more
        else:
            parts.append(more)
        have += len(more)
    return json.loads(b"".join(parts)[8:]), fds
