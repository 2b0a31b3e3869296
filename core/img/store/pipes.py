"""Byte streams between the engine and a job in the sandbox, over pipes: bounded memory, both sides at work at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from img.errors import Cancelled

Call = Callable[..., Any]
"""`Sandbox.call`."""

CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031


def read_from(call: Call, function: str, *args: Any) -> Iterator[bytes]:
    """What the job `function` writes to ``fds[0]``. Raises the job's error after its last bytes."""
    reader, writer = _pipe()
    job = _Job(call, function, args, writer)
    try:
        while data := os.read(reader, CHUNK):
            yield data
    except BaseException:
        os.close(reader)
        job.thread.join()
        raise
    os.close(reader)
    job.result()


def write_to(chunks: Iterable[bytes], call: Call, function: str, *args: Any) -> Any:
    """Feed `chunks` to ``fds[0]`` of the job `function`; returns its result. `chunks` is always read to its end, so
    that a digest over it is complete; if reading it fails, the job sees an early end and its error is dropped."""
    reader, writer = _pipe()
    job = _Job(call, function, args, reader)
    try:
        _feed(chunks, writer)
    except BaseException:
        os.close(writer)
        job.thread.join()
        raise
    os.close(writer)
    return job.result()


def unless(stopped: Callable[[], bool], chunks: Iterable[bytes]) -> Iterator[bytes]:
    """`chunks`, until `stopped` says so: then raises `Cancelled`."""
    for data in chunks:
        if stopped():
            raise Cancelled
        yield data


def _feed(chunks: Iterable[bytes], writer: int) -> None:
    listening = True
    for data in chunks:
        view = memoryview(data)
        while listening and view:
            try:
                view = view[os.write(writer, view) :]
            except BrokenPipeError:
                listening = False


class _Job:
    """One call on a thread of its own. The pipe's far end is closed when it is over."""

    def __init__(self, call: Call, function: str, args: tuple[Any, ...], end: int) -> None:
        self._call = (call, function, args, end)
        self._value: Any = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=function, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        call, function, args, end = self._call
        try:
            self._value = call(function, *args, fds=(end,))
        except BaseException as error:
            self._error = error
        finally:
            os.close(end)

    def result(self) -> Any:
        self.thread.join()
        if self._error is not None:
            raise self._error
        return self._value


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(reader, _F_SETPIPE_SZ, CHUNK)
    return reader, writer
