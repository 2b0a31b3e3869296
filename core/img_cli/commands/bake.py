"""``img bake``: several targets at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from img.errors import UsageError
from img.request import BuildResult, Request
from img_cli.context import open_session, standard_input

if TYPE_CHECKING:
    from img.bake import Plan

FILES = (
    "docker-bake.json",
    "img.yaml",
    "img.yml",
    "img.toml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
)
LINKED = "localhost/img-bake"
"""Where images of targets that others stand on have their names while these are built."""


def bake(names: Sequence[str], file: str, sets: Sequence[str], shown: bool, given: Mapping[str, Any]) -> int:
    """Build the targets `names` of `file`, or show (`shown`) what that would be. Raises `ImgError`."""
    from img.bake import linked, resolved, selected, waves
    from img_cli.commands.bake_targets import request_of
    from img_cli.commands.build import stop_on_signals, write_file

    file = file or _found()
    with open_session() as session:
        stop_on_signals(session)
        plan, own = _plan(session, file)
        targets = resolved(plan, sets)
        wanted = selected(plan, names)
        order = waves(targets, wanted)
        if shown:
            print(json.dumps(_shown(plan, targets, order, wanted), indent=2))
            return 0
        folder = os.path.dirname(file)
        apart = {**given, "push": False, "load": False}  # for what is built only because others stand on it
        requests = {
            name: request_of(name, targets[name], folder, file if own else "", given if name in wanted else apart)
            for wave in order
            for name in wave
        }
        made = _Waves(session, requests, wanted, linked(targets, wanted), given["progress"]).made(targets, order)
    if given["metadata_file"]:
        facts = {name: dict(made[name].facts) for name in wanted}
        write_file(given["metadata_file"], json.dumps(facts, indent=2) + "\n")
    return 0


def _shown(plan: Plan, targets: Mapping[str, Any], order: Sequence[Sequence[str]], wanted: Sequence[str]) -> Any:
    there = {name for wave in order for name in wave}
    shown = {name: one for name, one in targets.items() if name in there}
    return {"group": {"default": {"targets": list(wanted)}}, "target": shown}


def _found() -> str:
    for name in FILES:
        if os.path.isfile(name):
            return name
    raise UsageError("there is nothing to bake here", hint=f"name a file with -f; looked for {', '.join(FILES)}")


def _plan(session: Any, file: str) -> tuple[Plan, bool]:
    """The plan of a file, and whether it is itself the build file. Raises `UsageError`, `FrontendError`."""
    from img.bake import filled, read_plan

    name = os.path.basename(file)
    if name.endswith(".hcl"):
        raise UsageError(f"{file}: HCL is not read", hint="docker buildx bake --print > docker-bake.json writes JSON")
    if name.endswith(".json") or file == "-":
        return read_plan(filled(_json(file), _environ(), file), file), False
    folder = os.path.dirname(file) or "."
    if "compose" in name:
        request = Request(context=folder, file=file, frontend="yaml", args=_environ(os.path.join(folder, ".env")))
        return read_plan(session.call(request, "compose").document, file), False
    return read_plan(session.call(Request(context=folder, file=file), "plan").document, file), True


def _json(file: str) -> Any:
    given = standard_input(file)
    try:
        if given is not None:
            return json.load(given)
        with open(file, "rb") as stream:
            return json.load(stream)
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON: {error}") from None


def _environ(file: str = "") -> dict[str, str]:
    """The variables of the environment, over those of an env file of compose if it is there."""
    found: dict[str, str] = {}
    if file and os.path.isfile(file):
        with open(file, encoding="utf-8", errors="replace") as stream:
            for row in stream:
                name, equals, value = row.strip().removeprefix("export ").partition("=")
                if equals and not name.startswith("#"):
                    found[name.strip()] = _unquoted(value.strip())
    return {**found, **os.environ}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


class _Waves:
    """Builds wave by wave. A target that others stand on gets a name in the store for as long as that takes."""

    def __init__(
        self,
        session: Any,
        requests: Mapping[str, Request],
        wanted: Sequence[str],
        below: frozenset[str],
        progress: str,
    ) -> None:
        self._session = session
        self._requests = dict(requests)
        self._wanted = frozenset(wanted)
        self._names = {name: f"{LINKED}/{name.lower()}:{os.getpid()}" for name in below}
        self._progress = progress

    def made(self, targets: Mapping[str, Any], order: Sequence[Sequence[str]]) -> dict[str, BuildResult]:
        """What came of each target. Raises `ImgError`."""
        from img.bake import links

        found: dict[str, BuildResult] = {}
        try:
            for wave in order:
                for name in wave:
                    contexts = {context: f"stored://{self._names[to]}" for context, to in links(targets[name]).items()}
                    asked = self._asked(name)
                    self._requests[name] = replace(asked, contexts={**asked.contexts, **contexts})
                for group in _groups({name: self._requests[name] for name in wave}):
                    found.update(self._built(group))
        finally:
            for name in self._names.values():
                self._session.store.images.remove(name)
        return found

    def _asked(self, name: str) -> Request:
        request = self._requests[name]
        if name not in self._wanted:
            request = replace(request, tags=(), outputs=(), cache_to=())
        if name in self._names:
            own = request.outputs or (({"type": "image"},) if request.tags else ())
            request = replace(request, outputs=(*own, {"type": "image", "name": self._names[name]}))
        return request

    def _built(self, names: Sequence[str]) -> dict[str, BuildResult]:
        from img_cli.commands.build import chosen, reporter_of, told

        session, requests = self._session, [self._requests[name] for name in names]
        reporter = reporter_of(session.registry, chosen(self._progress))(session.engine)
        if len(requests) == 1:
            results = [session.build(requests[0], [reporter])]
        else:
            results = session.build_all(requests, [reporter])
        for name, request, result in zip(names, requests, results, strict=True):
            if name in self._wanted:
                images = tuple(image for image in result.images if not image[0].startswith(f"{LINKED}/"))
                told(replace(result, images=images), request, self._progress == "quiet")
        return dict(zip(names, results, strict=True))


def _groups(requests: Mapping[str, Request]) -> list[list[str]]:
    """Targets that make one graph together: those over one context, with the same secrets and the same caches."""
    groups: dict[object, list[str]] = {}
    for name, request in requests.items():
        around = (request.context, request.contexts, request.secrets, request.ssh, request.cache_from, request.pull)
        fresh = (request.no_cache, request.no_cache_filter)
        alone = name if request.cache_to else ""
        groups.setdefault((repr(around), fresh, alone), []).append(name)
    return list(groups.values())
