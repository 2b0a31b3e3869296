"""Builds for programs: `build`, `build_async`, and `start` for those who want to watch and to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from img.api.options import BuildOptions, What, check_names, epoch_of, options_of, platforms_of, request_of
from img.api.place import open_session, tell_broken
from img.api.stream import Stream
from img.errors import BackendError, UsageError
from img.events import Event, StepCached, StepDone, StepStarted
from img.ir import checked
from img.ir.definition import Definition
from img.ir.state import State
from img.plan import Answers
from img.request import BuildResult, Request, StepOutcome
from img.session import Session


def build(what: What, **options: Unpack[BuildOptions]) -> BuildResult:
    """Build `what` and put it into the store under ``tag``, or wherever ``outputs`` say; waits for the end.

    `what` is a `img.State`, a `img.Request` (a build file with its context) or a `img.ir.definition.Definition`. Options are
    those of `img.api.options.BuildOptions`. KeyboardInterrupt cancels the build and comes out when it has ended. Raises
    `img.ImgError`; then nothing half-made is recorded or written.
    """
    with start(what, **options) as running:
        return running.result()


async def build_async(what: What, **options: Unpack[BuildOptions]) -> BuildResult:
    """`build` for an event loop, which goes on meanwhile. A cancelled task cancels the build, and waits for its end."""
    running = start(what, **options)
    try:
        return await running
    except asyncio.CancelledError:
        running.cancel()
        with suppress(Exception):
            await running
        raise


def start(what: What, **options: Unpack[BuildOptions]) -> Build:
    """Begin a build in a thread of its own, and return at once. What is wrong with the arguments is raised here."""
    check_names(options)
    if not isinstance(what, State | Request | Definition):
        hint = "img.image('debian').run('…'), or img.Request(context='.')"
        raise UsageError(f"{checked.kind(what)} can't be built", hint=hint)
    return Build(_prepared(what, options), options)


Run = Callable[[Session, list[Any]], BuildResult]


class Build:
    """A running build. Iterate over it (also with ``async for``) for its events, await it or ask for its `result`.

    As a context manager it cancels what still runs at the end of the block.
    """

    def __init__(self, run: Run, options: BuildOptions) -> None:
        self._stream = Stream()
        self._steps = _Steps()
        self._future: Future[BuildResult] = Future()
        self._session = open_session(options)
        self._thread = threading.Thread(target=self._work, args=(run, options), name="img build", daemon=True)
        self._thread.start()

    def __enter__(self) -> Build:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.done:
            self.cancel()
        self._stream.leave()
        self._thread.join()

    def __iter__(self) -> Iterator[Event]:
        """The events until the end. What went wrong is for `result` to raise."""
        self._stream.read()
        try:
            ended = False
            while not ended:
                events, ended = self._stream.take(block=True)
                yield from events
        finally:
            self._stream.leave()

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop, there = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(there.set)

        self._stream.wake = wake
        self._stream.read()
        try:
            ended = False
            while not ended:
                there.clear()
                events, ended = self._stream.take(block=False)
                for event in events:
                    yield event
                if not events and not ended:
                    await there.wait()
        finally:
            self._stream.wake = lambda: None
            self._stream.leave()

    def __await__(self) -> Generator[Any, None, BuildResult]:
        return self._awaited().__await__()

    async def _awaited(self) -> BuildResult:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended.set)

        self._future.add_done_callback(tell)
        await ended.wait()
        return self._future.result()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future.done()

    def cancel(self) -> None:
        """Stop the build. Safe from any thread and from a signal handler; `result` then raises `img.errors.Cancelled`."""
        self._session.stop()

    def result(self, timeout: float | None = None) -> BuildResult:
        """Wait for the end. Raises `ImgError`, or TimeoutError after `timeout` seconds: the build goes on then."""
        self._stream.leave()
        try:
            return self._future.result(timeout)
        except WaitedTooLong:
            if self._future.done():
                raise
            raise TimeoutError(f"the build has not ended after {timeout} seconds") from None

    def _work(self, run: Run, options: BuildOptions) -> None:
        try:
            try:
                result = run(self._session, [self._steps, self._stream, *options.get("observers", ())])
            finally:
                self._session.close()
                self._stream.close()
        except BaseException as error:
            self._future.set_exception(_told(error))
        else:
            self._future.set_result(replace(result, steps=tuple(self._steps.ended)))


def _told(error: BaseException) -> BaseException:
    """The error as callers get it: what becomes of the sandbox's process is one of img's errors."""
    from img.sandbox.client import SandboxError

    if not isinstance(error, SandboxError):
        return error
    told = BackendError(str(error).partition("\n")[0], hint="img doctor says what works on this machine")
    told.__cause__ = error
    return told


class _Steps:
    """A reporter that keeps what became of each step."""

    def __init__(self) -> None:
        self.ended: list[StepOutcome] = []
        self._why: dict[str, str] = {}

    def handle(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._why[event.step] = event.why
        elif isinstance(event, StepCached) and event.title:
            self.ended.append(StepOutcome(event.title, True))
        elif isinstance(event, StepDone) and event.title:
            self.ended.append(StepOutcome(event.title, False, event.seconds, self._why.get(event.step, "")))

    def close(self) -> None:
        """Nothing to do."""


def _prepared(what: What, options: BuildOptions) -> Run:
    """What is to be done with a session. Arguments are checked here, before any thread."""
    if isinstance(what, Request):
        request = request_of(what, options)

        def by_file(session: Session, observers: list[Any]) -> BuildResult:
            return session.build(request, [*observers, _Broken(session)])

        return by_file
    wanted, platforms, epoch = options_of(options), platforms_of(options), epoch_of(options)
    if isinstance(what, Definition):
        if platforms or epoch is not None:
            raise UsageError("a Definition has its platforms and its epoch already", hint="give them where it is made")
        return lambda session, observers: session.build_definition(what, wanted, {}, observers)
    state = what
    contexts = {name: Path(path) for name, path in state.contexts.items()}

    def by_state(session: Session, observers: list[Any]) -> BuildResult:
        from img.oci.platform import host_platform

        names = platforms or (str(host_platform()),)
        answers = Answers(session.engine)
        return session.build_made(
            lambda: state.definition(answers, *names, epoch=epoch), wanted, contexts, [*observers, _Broken(session)]
        )

    return by_state


class _Broken:
    """A reporter that, at the first event, tells of plugins that are left out."""

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session

    def handle(self, event: Event) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            tell_broken(session)

    def close(self) -> None:
        """Nothing to do."""


__all__ = ["Build", "build", "build_async", "start"]
