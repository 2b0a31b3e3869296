"""The solver: makes the goals of a graph with as little work as can be.

Goals that are cached end the run at once (`lookup`). Otherwise there is one asyncio task a node that somebody needs; a
task looks up its pinned key, else makes its inputs, looks up its content key, else runs the worker in a thread. The
first failure cancels everything else, waits until all of it has stopped, and is what is raised.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

from img.errors import Cancelled, ImgError
from img.events import Event, StepCached, StepDone, StepFailed, StepStarted
from img.ir.nodes import Copy, Node, Scratch, Source
from img.ir.walk import topological
from img.ports import Result, Snapshot, Worker
from img.solver import keys
from img.solver.again import again
from img.solver.explain import Journal
from img.solver.lookup import Cache
from img.store.locks import Lock, try_lock

T = TypeVar("T")

THREADS = 96
LOOK = 1.0
"""Seconds between two looks at the room that running steps leave."""
STEPS = 64
"""Steps that run at once, unless the settings say otherwise. They mostly wait, so it is not the number of cores."""


class Engine(Protocol):
    """What the solver needs of the engine around it."""

    def emit(self, event: Event) -> None: ...

    @property
    def cancelled(self) -> bool: ...

    def cancel(self) -> None: ...


class Solver:
    """One run over one graph."""

    def __init__(
        self,
        cache: Cache,
        worker: Callable[[], Worker],
        engine: Engine,
        steps: int = STEPS,
        *,
        journal: Journal,
        room: Callable[[], None] = lambda: None,
        made: Callable[[Node, Result], None] = lambda node, result: None,
        before: Callable[[Node, Sequence[Result]], None] = lambda node, inputs: None,
    ) -> None:
        """`worker` chooses the backend: it is called when something has to run, once, unless it raises.

        `room` is called before and after each step and now and then while one runs; what it raises fails the build.
        `made` is told of each result and must return at once; `before`, in a thread, of each step that is about to run."""
        self._cache = cache
        self._journal = journal
        self._choose = worker
        self._worker: Worker | None = None
        self._engine = engine
        self._limit = steps
        self._room = room
        self._made = made
        self._before = before
        self._pending: list[tuple[tuple[str, ...], Snapshot, str]] = []
        self._told: set[str] = set()

    def solve(self, goals: Sequence[Node]) -> list[Snapshot]:
        """The filesystem of each goal. Raises the first error of any step; `Cancelled` if it was stopped."""
        results: list[Snapshot] = _run(self._solve(goals))
        return results

    async def _solve(self, goals: Sequence[Node]) -> list[Snapshot]:
        self._tasks: dict[str, asyncio.Task[Result]] = {}
        self._slots = asyncio.Semaphore(self._limit)
        self._choosing = asyncio.Lock()
        self._pool = ThreadPoolExecutor(THREADS, "step")
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                tasks = [self._task(goal) for goal in goals]
                group.create_task(self._watch(tasks))
            results = [task.result() for task in tasks]
            await self._thread(self._settle)
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            self._pool.shutdown(wait=True)
        return [result if isinstance(result, Snapshot) else Snapshot() for result in results]

    async def _watch(self, tasks: Sequence[asyncio.Task[Result]]) -> None:
        """Turn a cancellation from outside into one of the task group, and stop steps that there is no room for."""
        looked = time.monotonic()
        while not all(task.done() for task in tasks):
            if self._engine.cancelled:
                raise Cancelled
            await asyncio.wait(tasks, timeout=0.05)
            if time.monotonic() - looked > LOOK:
                try:
                    await self._thread(self._room)
                except ImgError:
                    self._engine.cancel()
                    raise
                looked = time.monotonic()

    def _task(self, node: Node) -> asyncio.Task[Result]:
        """The one task of a node: whoever needs it waits for the same."""
        task = self._tasks.get(node.digest)
        if task is None:
            task = self._group.create_task(self._stopping(node))
            self._tasks[node.digest] = task
        return task

    async def _stopping(self, node: Node) -> Result:
        try:
            result = await self._make(node)
            self._made(node, result)
            return result
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._engine.cancel()
            raise

    # --- one node ------------------------------------------------------------------------------------------

    async def _make(self, node: Node) -> Result:
        if isinstance(node, Scratch):
            return Snapshot()
        if isinstance(node, Source):
            fetched: Result = await self._thread(self._cache.fetch, node)
            self._tell_cached(node, "its bytes come when they are wanted")
            return fetched
        key = self._cache.pinned(node)
        if (record := await self._thread(self._cache.by_definition, node)) is not None:
            for below in topological([node])[:-1]:
                if below.digest not in self._tasks:
                    self._tell_cached(below, "what it leads to is known")
            return self._cached(node, record.layers, "by its definition")
        inputs = [await task for task in [self._task(below) for below in node.inputs]]
        selected = None
        if isinstance(node, Copy):
            selected = await self._thread(self._cache.select, node, inputs[1])
        content = keys.content(node, inputs, selected)
        lock = await self._lock(content.digest)
        try:
            return await self._run_or_find(node, inputs, (key, content))
        finally:
            lock.release()

    async def _run_or_find(self, node: Node, inputs: Sequence[Result], found: tuple[keys.Key, keys.Key]) -> Snapshot:
        names = (found[0].digest, found[1].digest)
        if (record := await self._thread(self._cache.find, node, found[1])) is not None:
            self._cache.store.records.put(names[:1], record.layers, node.notes.title)
            self._cache.store.contents.set(*names)
            self._journal.found(node, found[1])
            return self._cached(node, record.layers, "by the content of its inputs")
        worker = await self._chosen(node)
        async with self._slots:
            started = time.monotonic()
            title = node.notes.title
            why = await self._thread(self._why, node, inputs, found[1])
            self._engine.emit(StepStarted(node.digest, title, node.notes.place, started, why))
            try:
                await self._thread(self._room)
                await self._thread(self._before, node, inputs)
                work = partial(worker.run, node, inputs)
                result: Snapshot = await self._thread(again, node, self._engine, work)
                await self._thread(self._room)
            except ImgError as error:
                self._engine.emit(StepFailed(node.digest, title, error.message, time.monotonic()))
                self._journal.failed(node)
                if error.place is None:
                    error.place = node.notes.place
                raise
            now = time.monotonic()
            self._engine.emit(StepDone(node.digest, title, now - started, now))
        await self._thread(self._record, names, result, title)
        return result

    async def _chosen(self, node: Node) -> Worker:
        """The backend, for `node` that needs it."""
        async with self._choosing:
            if self._worker is None:
                try:
                    self._worker = await self._thread(self._choose)
                except ImgError as error:
                    error.place = error.place or node.notes.place
                    raise
        return self._worker

    def _why(self, node: Node, inputs: Sequence[Result], content: keys.Key) -> str:
        if isinstance(node, Copy):
            self._journal.keep(node, inputs[1], dict(content.parts)[keys.FILES])
        return self._journal.started(node, content, self._cache.fresh(node))

    def _cached(self, node: Node, layers: Sequence[str], words: str) -> Snapshot:
        self._tell_cached(node, words)
        return Snapshot(tuple(layers))

    def _tell_cached(self, node: Node, words: str) -> None:
        """Tell it once of a step that people see."""
        if node.notes.title and node.digest not in self._told:
            self._told.add(node.digest)
            self._engine.emit(StepCached(node.digest, node.notes.title, words, time.monotonic()))

    # --- records -------------------------------------------------------------------------------------------

    def _record(self, names: tuple[str, ...], result: Snapshot, title: str) -> None:
        """Record a result, at once or, if a layer of it is only a recipe, when it has been settled."""
        self._cache.store.contents.set(names[0], names[1])
        if all(map(self._cache.store.layers.available, result.layers)):
            self._cache.store.records.put(names, result.layers, title)
        else:
            self._pending.append((names, result, title))

    def _settle(self) -> None:
        """Give every recorded layer a form that lasts, and record what waited for it."""
        layers = self._cache.store.layers
        for names, result, title in self._pending:
            for id in result.layers:
                if not layers.available(id):
                    layers.blob((id,))
            self._cache.store.records.put(names, result.layers, title)

    # --- waiting -------------------------------------------------------------------------------------------

    async def _lock(self, key: str) -> Lock:
        """Wait until no other build on this store is making the same thing."""
        path = self._cache.store.root / "locks" / f"step-{key[7:]}"
        while (lock := try_lock(path)) is None:
            await asyncio.sleep(0.02)
        return lock

    async def _thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run blocking code in a thread. A cancelled wait still waits: the thread stops on the engine's word."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise


def _run(coroutine: Any) -> Any:
    """Run to the end, also for a caller that has an event loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that started it: the first that is not just somebody's cancellation."""
    flat: list[BaseException] = []
    groups: list[BaseException] = [errors]
    while groups:
        error = groups.pop(0)
        if isinstance(error, BaseExceptionGroup):
            groups.extend(error.exceptions)
        else:
            flat.append(error)
    return next((error for error in flat if not isinstance(error, Cancelled)), flat[0])
