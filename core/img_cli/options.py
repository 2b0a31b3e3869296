"""The options of ``img build`` as a table, and a parser for command lines that use nothing else.

typer makes the command line, its help and its errors (`commands.app`), but importing it takes longer than a cached build.
So a command line that this table covers is read here; anything else, down to ``--help``, falls through to typer. A test
holds the table against the typer command.
"""

from __future__ import annotations

from typing import Any

ONE, MANY, SWITCH, POLICY = "one", "many", "switch", "policy"
TRUE, FALSE = ("true", "1"), ("false", "0")
POLICIES = ("missing", "always", "never")
"""What ``--pull`` takes. Without a value, which is never the next word, it is docker's: always."""

BUILD: dict[str, tuple[str, str]] = {
    "--add-host": ("add_host", MANY),
    "--allow": ("allow", MANY),
    "--annotation": ("annotation", MANY),
    "--backend": ("backend", ONE),
    "-b": ("backend", ONE),
    "--build-arg": ("build_arg", MANY),
    "--build-context": ("build_context", MANY),
    "--cache-from": ("cache_from", MANY),
    "--cache-to": ("cache_to", MANY),
    "--cache-mount-from": ("cache_mount_from", MANY),
    "--cache-mount-to": ("cache_mount_to", MANY),
    "--call": ("call", ONE),
    "--cgroup-parent": ("cgroup_parent", ONE),
    "--check": ("check", SWITCH),
    "--cpu-period": ("cpu_period", ONE),
    "--cpu-quota": ("cpu_quota", ONE),
    "--cpu-shares": ("cpu_shares", ONE),
    "-c": ("cpu_shares", ONE),
    "--cpus": ("cpus", ONE),
    "--cpuset-cpus": ("cpuset_cpus", ONE),
    "--cpuset-mems": ("cpuset_mems", ONE),
    "--expect-cached": ("expect_cached", MANY),
    "--file": ("file", ONE),
    "-f": ("file", ONE),
    "--frontend": ("frontend", ONE),
    "--iidfile": ("iidfile", ONE),
    "--label": ("label", MANY),
    "--load": ("load", SWITCH),
    "--memory": ("memory", ONE),
    "-m": ("memory", ONE),
    "--memory-swap": ("memory_swap", ONE),
    "--metadata-file": ("metadata_file", ONE),
    "--network": ("network", ONE),
    "--no-cache": ("no_cache", SWITCH),
    "--no-cache-filter": ("no_cache_filter", MANY),
    "--no-console": ("no_console", SWITCH),
    "--offline": ("offline", SWITCH),
    "--output": ("output", MANY),
    "-o": ("output", MANY),
    "--pids-limit": ("pids_limit", ONE),
    "--platform": ("platform", MANY),
    "--print": ("print_", ONE),
    "--progress": ("progress", ONE),
    "--pull": ("pull", POLICY),
    "--push": ("push", SWITCH),
    "--quiet": ("quiet", SWITCH),
    "-q": ("quiet", SWITCH),
    "--secret": ("secret", MANY),
    "--shm-size": ("shm_size", ONE),
    "--ssh": ("ssh", MANY),
    "--step-timeout": ("step_timeout", ONE),
    "--store-max": ("store_max", ONE),
    "--tag": ("tag", MANY),
    "-t": ("tag", MANY),
    "--target": ("target", ONE),
    "--timeout": ("timeout", ONE),
    "--twice": ("twice", SWITCH),
    "--ulimit": ("ulimit", MANY),
}

_EMPTY: dict[str, Any] = {ONE: "", MANY: [], SWITCH: False, POLICY: ""}
DEFAULTS: dict[str, Any] = {**{name: _EMPTY[kind] for name, kind in BUILD.values()}, "progress": "auto"}

REFUSED = {
    "--attest": "attestations are not made yet",
    "--provenance": "attestations are not made yet",
    "--sbom": "attestations are not made yet",
    "--builder": "there are no builders to choose from: --backend says who runs the steps",
    "--compress": "nothing is sent to a daemon",
    "--force-rm": "no intermediate containers are kept",
    "--rm": "no intermediate containers are kept",
    "--isolation": "that is for Windows",
    "--security-opt": "profiles of one's own are not read yet",
    "--squash": "layers are not squashed",
}
"""Flags of ``docker build`` that do nothing here, and why. Silence would be worse than an error."""


def refused(arguments: list[str]) -> tuple[str, str] | None:
    """The first flag of docker's in `arguments` that img does not have, and why."""
    for word in arguments:
        name = word.partition("=")[0]
        if name in REFUSED:
            return name, REFUSED[name]
    return None


def plain_switches(arguments: list[str]) -> list[str]:
    """The same words, with ``--push=true`` as ``--push`` and without ``--push=false``: typer knows only bare switches. And
    ``--pull`` with the value it stands for: typer would take the next word for it."""
    words: list[str] = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in BUILD and BUILD[name][1] == POLICY:
            word = f"{name}={_policy(value if equals else 'true')}"
        elif equals and name in BUILD and BUILD[name][1] == SWITCH and value.lower() in (*TRUE, *FALSE):
            word = name if value.lower() in TRUE else ""
        if word or not equals:
            words.append(word)
    return words


def _policy(value: str) -> str:
    """A value of ``--pull`` with docker's true and false as what they stand for; others stay as they are."""
    return "always" if value.lower() in TRUE else "" if value.lower() in FALSE else value


def command_at(arguments: list[str]) -> int:
    """Where the command stands, behind the options that go for all of them; past the end if there is none."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] in ("-b", "--backend", "-s", "--state") else 1
    return at


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
            if equals and value.lower() not in (*TRUE, *FALSE):
                return None
            found[parameter] = not equals or value.lower() in TRUE
            continue
        if kind == POLICY:
            found[parameter] = _policy(value if equals else "true")
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
