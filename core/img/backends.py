"""Which backend runs the steps: the one asked for, or the first that works here."""

from __future__ import annotations

from collections.abc import Callable

from img.engine import Engine
from img.errors import BackendError, ImgError
from img.ports import Availability, GraphBackend, Worker

ORDER = ("chroot", "runc", "containerd", "buildkit")
"""The order in which ``--backend auto`` tries them."""


def graph(engine: Engine, name: str) -> GraphBackend | None:
    """The backend of that name, if it is one that takes whole graphs. Whether it works here shows when it is needed."""
    if name in ("", "auto") or name not in engine.registry.names("backend"):
        return None
    backend = engine.load("backend", name)
    if not hasattr(backend, "solve"):
        return None
    takes_graphs: GraphBackend = backend
    return takes_graphs


def chosen(engine: Engine, name: str = "") -> Worker:
    """The backend of that name, or the first that works here; one that takes whole graphs is never chosen by itself.
    Raises `BackendError` with every reason."""
    if name and name != "auto":
        worker: Worker = engine.load("backend", name)
        if hasattr(worker, "solve"):
            raise BackendError(f"the backend {name} takes whole builds, not single steps")
        found = worker.probe()
        if not found.ok:
            raise BackendError(f"the backend {name} does not work here: {found.reason}", hint=found.remedy)
        return worker
    reasons: list[str] = []
    names = engine.registry.names("backend")
    for candidate in [*(b for b in ORDER if b in names), *(n for n in names if n not in ORDER)]:
        worker = engine.load("backend", candidate)
        if hasattr(worker, "solve"):
            reasons.append(f"{candidate}: only by its name (--backend {candidate})")
            continue
        found = worker.probe()
        if found.ok:
            return worker
        reasons.append(f"{candidate}: {found.reason}" + (f" ({found.remedy})" if found.remedy else ""))
    raise BackendError("no backend works here", hint="; ".join(reasons) or "no backend is installed")


def on_demand(engine: Engine, name: str) -> Callable[[], Worker]:
    """A function that gives the backend, choosing and probing it when the first step really has to run."""
    known: list[Worker] = []

    def worker() -> Worker:
        if not known:
            known.append(chosen(engine, name))
        return known[0]

    return worker


def probed(engine: Engine, name: str) -> Availability:
    """Whether a backend works here, also if it can't even be loaded."""
    try:
        found: Availability = engine.load("backend", name).probe()
    except ImgError as error:
        return Availability(False, error.message, error.hint)
    return found
