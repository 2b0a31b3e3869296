"""The questions as data, and the one place that answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from img.errors import UsageError
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.dockerfile.calls.check import check
from img_frontends.dockerfile.calls.fix import fix
from img_frontends.dockerfile.calls.outline import outline
from img_frontends.dockerfile.calls.shape import columns
from img_frontends.dockerfile.calls.targets import targets


@dataclass(frozen=True, slots=True)
class Call:
    """One question: its name as a sub-request of BuildKit, its version, and what it asks."""

    request: str
    version: str
    words: str
    answer: Callable[[FrontendRequest, Resolver], Report]
    options: tuple[tuple[str, str], ...] = ()
    results: tuple[str, ...] = ("result.json", "result.txt")


def convert(request: FrontendRequest, resolver: Resolver) -> Report:
    """The file in another form: see `img_frontends.document.convert`."""
    from img_frontends.document.convert import convert

    return convert(request, resolver, None)


def describe(request: FrontendRequest, resolver: Resolver) -> Report:
    """What can be asked. The file does not matter."""
    listed = [
        {
            "name": call.request,
            "version": call.version,
            "type": "rpc",
            "description": call.words,
            "opts": [{"name": name, "description": words} for name, words in call.options],
            "inputs": None,
            "metadata": [{"name": name, "description": ""} for name in call.results],
            "refs": None,
        }
        for call in CALLS.values()
    ]
    rows = [(call.request.removeprefix("frontend."), call.version, call.words) for call in CALLS.values()]
    return Report(columns([("NAME", "VERSION", "DESCRIPTION"), *rows], 1), listed)


CALLS = {
    "check": Call(
        "frontend.lint",
        "1.0.0",
        "Say what the rules find in the file",
        check,
        results=("result.json", "result.txt", "result.statuscode"),
    ),
    "outline": Call(
        "frontend.outline",
        "1.0.0",
        "List what a target can be given",
        outline,
        options=(("target", "The stage to look at"),),
    ),
    "targets": Call("frontend.targets", "1.0.0", "List the stages that can be built", targets),
    "describe": Call("frontend.subrequests.describe", "1.0.0", "List what can be asked", describe),
    "fix": Call("frontend.fix", "1.0.0", "Repair what can be repaired without a change to the image", fix),
    "convert": Call(
        "frontend.convert",
        "1.0.0",
        "Say the same in another form",
        convert,
        options=(("to", "dockerfile, yaml, toml or json"),),
    ),
}

ALIASES = {"lint": "check", "subrequests.describe": "describe"}


def answer(name: str, request: FrontendRequest, resolver: Resolver) -> Report:
    """Raises `UsageError` for an unknown question, and what the question raises."""
    short = name.removeprefix("frontend.")
    call = CALLS.get(ALIASES.get(short, short))
    if call is None:
        raise UsageError(f"a Dockerfile can't be asked for {name!r}", hint=f"one of {', '.join(CALLS)}")
    return call.answer(request, resolver)
