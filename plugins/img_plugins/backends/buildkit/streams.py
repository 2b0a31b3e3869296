"""Connections as plain streams of bytes, and what joins two of them.

grpcio can't take over a connection that somebody else opened, so `Door` offers one as a unix socket in a folder that
nobody else can enter.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Protocol

from img.errors import BackendError

CHUNK = 1 << 16
SAID = 2000
"""Bytes of a program's words that are kept."""
SETTINGS = b"\x04"
"""The type of the frame that every server begins with (RFC 9113, 3.4); it stands behind the length, which has three bytes."""
CONNECTIONS = 8
"""Connections through one door at a time; grpcio opens one, and another when that is lost."""


class Stream(Protocol):
    """One connection."""

    def read(self) -> bytes:
        """Some bytes; empty at the end."""

    def write(self, data: bytes) -> bool:
        """Whether all of it could be written."""

    def close(self) -> None:
        """Cut it: whoever reads is woken. May be called twice."""


class SocketStream:
    """A socket, also one with TLS. Its descriptor is given back when nobody has the stream any more: not before, as others may
    be reading."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        weakref.finalize(self, connection.close)

    def read(self) -> bytes:
        try:
            return self._connection.recv(CHUNK)
        except OSError:
            return b""

    def write(self, data: bytes) -> bool:
        try:
            self._connection.sendall(data)
        except OSError:
            return False
        return True

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class ProgramStream:
    """A program's standard input and output. Its standard error says why it ended, or else what it wrote instead of HTTP/2:
    ``docker exec`` complains there."""

    def __init__(self, argv: list[str]) -> None:
        self._first = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the program)
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C is for us: the build ends in order
            )
        except OSError as error:
            self._errors.close()
            raise BackendError(f"can't run {argv[0]}: {error.strerror}") from error
        weakref.finalize(self, _give_back, self._process, self._errors)

    def read(self) -> bytes:
        assert self._process.stdout is not None
        try:
            data = os.read(self._process.stdout.fileno(), CHUNK)
        except (OSError, ValueError):
            return b""
        self._first = self._first or data[:SAID]
        return data

    def write(self, data: bytes) -> bool:
        assert self._process.stdin is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]
        except (OSError, ValueError):
            return False
        return True

    def said(self) -> str:
        """The end of what the program wrote to its standard error, or the begin of its output, if that was no frame."""
        with suppress(OSError, ValueError):
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - SAID))
            if told := self._errors.read().decode("utf-8", "replace").strip():
                return told
        return "" if self._first[3:4] == SETTINGS else self._first.decode("utf-8", "replace").strip()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _give_back(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, errors):
        if pipe is not None:
            pipe.close()


def join(one: Stream, other: Stream) -> None:
    """Pass on everything that each of the two says, until one of them ends; then both are cut."""

    def pump(reader: Stream, writer: Stream) -> None:
        while (data := reader.read()) and writer.write(data):
            pass
        reader.close()
        writer.close()

    back = threading.Thread(target=pump, args=(other, one), name="buildkit back", daemon=True)
    back.start()
    pump(one, other)
    back.join()


class Door:
    """A unix socket whose every connection is joined with one that `dial` opens."""

    def __init__(self, dial: Callable[[], Stream]) -> None:
        self._dial = dial
        self._trouble = ""
        self._idle = threading.Condition()
        self._open: set[Stream] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.folder = private_folder()
        self.path = f"{self.folder}/door"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(CONNECTIONS)
        self._thread = threading.Thread(target=self._accept, name="buildkit door", daemon=True)
        self._thread.start()

    def why(self) -> str:
        """Why the last connection failed or ended, if that is known; a program that is just ending is waited for."""
        with self._idle:
            self._idle.wait_for(lambda: self._trouble or not self._open, 1)
        return self._trouble

    def close(self) -> None:
        """Cut every connection and take the socket away. May be called twice."""
        with self._lock:
            self._closed = True
            streams = list(self._open)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for stream in streams:
            stream.close()
        self._thread.join()
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="buildkit connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        near = SocketStream(client)
        try:
            far = self._dial()
        except BackendError as error:
            self._trouble = error.message
            near.close()
            return
        with self._lock:
            allowed = not self._closed and len(self._open) < 2 * CONNECTIONS
            if allowed:
                self._open |= {near, far}
        try:
            if allowed:
                join(near, far)
        finally:
            near.close()
            far.close()
            if isinstance(far, ProgramStream) and (said := far.said()):
                self._trouble = said
            with self._lock:
                self._open -= {near, far}
            with self._idle:
                self._idle.notify_all()


def private_folder() -> str:
    """A new folder that only this user can enter, with a path short enough for the address of a socket."""
    try:
        folder = tempfile.mkdtemp(prefix="img-")
    except OSError as error:
        raise BackendError(f"can't make a folder for sockets: {error.strerror}", hint="set TMPDIR") from error
    if len(folder) > 80:
        shutil.rmtree(folder)
        folder = tempfile.mkdtemp(prefix="img-", dir="/tmp")
    return folder
