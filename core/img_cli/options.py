"""The options of ``img build`` as a table, and a parser for command lines that use nothing else.

typer makes the command line, its help and its errors (`commands.app`), but importing it takes longer than a cached build.
So a command line that this table covers is read here; anything else, down to ``--help``, falls through to typer. A test
holds the table against the typer command.
"""

from __future__ import annotations

from typing import Any

ONE, MANY, SWITCH = "one", "many", "switch"

BUILD: dict[str, tuple[str, str]] = {
    "--file": ("file", ONE),
    "-f": ("file", ONE),
    "--tag": ("tag", MANY),
    "-t": ("tag", MANY),
    "--build-arg": ("build_arg", MANY),
    "--label": ("label", MANY),
    "--target": ("target", ONE),
    "--platform": ("platform", MANY),
    "--output": ("output", MANY),
    "-o": ("output", MANY),
    "--progress": ("progress", ONE),
    "--no-cache": ("no_cache", SWITCH),
    "--pull": ("pull", SWITCH),
    "--quiet": ("quiet", SWITCH),
    "-q": ("quiet", SWITCH),
    "--backend": ("backend", ONE),
    "-b": ("backend", ONE),
    "--frontend": ("frontend", ONE),
    "--print": ("print_", ONE),
    "--network": ("network", ONE),
}

DEFAULTS: dict[str, Any] = {
    "file": "",
    "tag": [],
    "build_arg": [],
    "label": [],
    "target": "",
    "platform": [],
    "output": [],
    "progress": "auto",
    "no_cache": False,
    "pull": False,
    "quiet": False,
    "backend": "",
    "frontend": "",
    "print_": "",
    "network": "",
}


def parse_build(arguments: list[str]) -> dict[str, Any] | None:
    """The options of ``img build ARGUMENTS`` by parameter name, with ``context``; None if typer has to read them."""
    found: dict[str, Any] = {name: list(v) if isinstance(v, list) else v for name, v in DEFAULTS.items()}
    rest: list[str] = []
    waiting = iter(arguments)
    for word in waiting:
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in BUILD:
            return None
        parameter, kind = BUILD[name]
        if kind == SWITCH:
            if equals:
                return None
            found[parameter] = True
            continue
        if not equals:
            value = next(waiting, "")
            if not value or value.startswith("--"):
                return None
        if kind == MANY:
            found[parameter].append(value)
        else:
            found[parameter] = value
    if len(rest) != 1:
        return None
    return {**found, "context": rest[0]}
