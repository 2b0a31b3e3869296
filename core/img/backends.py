"""Which backend runs the steps: the one asked for, or the first that works here and can do what the build needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from img.abilities import WORDS, lacking
from img.engine import Engine
from img.errors import BackendError, ImgError, PluginError
from img.ir.nodes import Node
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
    """The backend of that name, or the first that works here; one that takes whole graphs is never chosen by itself. Raises
    `BackendError` with every reason."""
    return _chosen(engine, name, ())[1]


def for_nodes(engine: Engine, name: str, pending: Callable[[], Sequence[Node]]) -> Worker:
    """The same for a build that has to make the nodes `pending`. Also raises `BackendError` for the first of them that
    takes an ability which the backend lacks: its name, which backends have it, and the node's place."""
    nodes = pending()
    found, worker = _chosen(engine, name, nodes)
    require(engine, found, worker, nodes)
    return worker


def require(engine: Engine, name: str, backend: Worker | GraphBackend, nodes: Sequence[Node]) -> None:
    """Raises `BackendError` for the first of the `nodes` that takes an ability which the backend `name` lacks."""
    missing = _lacking(engine, name, backend, nodes)
    if missing:
        raise _refusal(engine, name, backend, missing)


def _chosen(engine: Engine, name: str, nodes: Sequence[Node]) -> tuple[str, Worker]:
    """The backend and its name. If it may be any, one that can make the `nodes` is preferred."""
    if name and name != "auto":
        worker: Worker = engine.load("backend", name)
        if hasattr(worker, "solve"):
            raise BackendError(f"the backend {name} takes whole builds, not single steps")
        found = worker.probe()
        if not found.ok:
            raise BackendError(f"the backend {name} does not work here: {found.reason}", hint=found.remedy)
        return name, worker
    reasons: list[str] = []
    working: list[tuple[str, Worker]] = []
    for candidate in _in_order(engine):
        worker = engine.load("backend", candidate)
        if hasattr(worker, "solve"):
            reasons.append(f"{candidate}: only by its name (--backend {candidate})")
            continue
        found = worker.probe()
        if found.ok and not _lacking(engine, candidate, worker, nodes):
            return candidate, worker
        if found.ok:
            working.append((candidate, worker))
        reasons.append(f"{candidate}: {found.reason}" + (f" ({found.remedy})" if found.remedy else ""))
    if working:
        return working[0]
    raise BackendError("no backend works here", hint="; ".join(reasons) or "no backend is installed")


def _in_order(engine: Engine) -> list[str]:
    names = engine.registry.names("backend")
    return [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]


def probed(engine: Engine, name: str) -> Availability:
    """Whether a backend works here, also if it can't even be loaded."""
    try:
        found: Availability = engine.load("backend", name).probe()
    except ImgError as error:
        return Availability(False, error.message, error.hint)
    return found


# --- abilities -----------------------------------------------------------------------------------------------------


def abilities(name: str, worker: Worker | GraphBackend) -> frozenset[str]:
    """What the backend `name` says it can do here. Raises `PluginError` for one that does not say."""
    found = getattr(worker, "abilities", None)
    if not isinstance(found, frozenset):
        raise PluginError(f"the backend {name!r} does not say what it can do: its abilities are no frozenset of names")
    return found


def _lacking(engine: Engine, name: str, worker: Worker | GraphBackend, nodes: Sequence[Node]) -> list[tuple[Node, str]]:
    return lacking(nodes, abilities(name, worker), engine.settings.get("network", "")) if nodes else []


def _refusal(
    engine: Engine, name: str, worker: Worker | GraphBackend, missing: Sequence[tuple[Node, str]]
) -> BackendError:
    """Why nothing runs: the first step that lacks something, and who has it."""
    node, ability = missing[0]
    title = node.notes.title or node.step
    words = f"{WORDS[ability]} ({ability})" if ability in WORDS else ability
    reason = worker.probe().reason
    return BackendError(
        f"{title} needs {words}, which the backend {name} lacks here: {reason}",
        place=node.notes.place,
        hint="; ".join(_remedies(engine, name, worker, ability)),
    )


def _remedies(engine: Engine, name: str, worker: Worker | GraphBackend, ability: str) -> list[str]:
    """Other backends that have the ability, and what would give it to this one."""
    others = [other for other in _in_order(engine) if other != name]
    able = [other for other in others if _has(engine, other, ability)]
    remedies = [f"--backend {other} has it" for other in able] or ["no other backend has it here"]
    if ability == "run":
        from img.doctor import examine, hint

        try:
            return [*remedies, hint(examine(engine.store.scratch()))]
        except BackendError:
            pass
    remedy = worker.probe().remedy
    return [*remedies, remedy] if remedy else remedies


def _has(engine: Engine, name: str, ability: str) -> bool:
    try:
        worker = engine.load("backend", name)
        return bool(worker.probe().ok and ability in abilities(name, worker))
    except ImgError:
        return False
