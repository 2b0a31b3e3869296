"""``img bake``: several targets at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from img.errors import UsageError
from img.request import Request
from img_cli.context import open_session

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


def bake(names: Sequence[str], file: str, sets: Sequence[str], shown: bool, given: Mapping[str, Any]) -> int:
    """Build the targets `names` of `file`, or show (`shown`) what that would be. Raises `ImgError`."""
    from img.bake import checked, override, request_of, selected
    from img_cli.commands.build import chosen, reporter_of, stop_on_signals, told

    file = file or _found()
    with open_session() as session:
        stop_on_signals(session)
        plan, own = _plan(session, file)
        targets = checked(plan, file)
        override(targets, sets)
        wanted = selected(plan, targets, names)
        if shown:
            print(json.dumps({"target": {name: targets[name] for name in wanted}}, indent=2))
            return 0
        folder = os.path.dirname(file) or "."
        how = {name: given[name] for name in ("no_cache", "pull", "backend")}
        requests = [replace(request_of(targets[name], folder, file if own else ""), **how) for name in wanted]
        for group in _by_context(requests):
            reporter = reporter_of(session.registry, chosen(given["progress"]))
            results = session.build_all(group, [reporter(session.engine)])
            for request, result in zip(group, results, strict=True):
                told(result, request, given["progress"] == "quiet")
    return 0


def _found() -> str:
    for name in FILES:
        if os.path.isfile(name):
            return name
    raise UsageError("there is nothing to bake here", hint=f"name a file with -f; looked for {', '.join(FILES)}")


def _plan(session: Any, file: str) -> tuple[Any, bool]:
    """The plan of a file, and whether it is itself the build file. Raises `UsageError`, `FrontendError`."""
    name = os.path.basename(file)
    if name.endswith(".hcl"):
        raise UsageError(f"{file}: HCL is not read", hint="docker buildx bake --print > docker-bake.json writes JSON")
    try:
        with open(file, "rb") as stream:
            text = stream.read()
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from None
    if name.endswith(".json"):
        try:
            return json.loads(text), False
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file} is no JSON: {error}") from None
    if "compose" in name:
        from img.plan import Answers
        from img.ports import FrontendRequest

        frontend = session.engine.load("frontend", "yaml")
        return frontend.call("compose", FrontendRequest(file, text), Answers(session.engine)).document, False
    request = Request(context=os.path.dirname(file) or ".", file=file)
    return session.call(request, "plan").document, True


def _by_context(requests: Sequence[Request]) -> list[list[Request]]:
    """Requests over one context together: those make one graph."""
    groups: dict[tuple[str, str], list[Request]] = {}
    for request in requests:
        groups.setdefault((request.context, repr(sorted(request.contexts.items()))), []).append(request)
    return list(groups.values())
