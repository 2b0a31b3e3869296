"""From the words of ``img build`` to a `Request`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from img.errors import UsageError
from img.ir.values import Confinement, Limit
from img.request import Request
from img.settings import seconds_of, size_of
from img_cli.context import standard_input
from img_cli.options import POLICIES

ENTITLEMENTS = ("network.host", "security.insecure", "device")
NETWORKS = ("", "default", "host", "none", "sandbox")
LIMITS = (
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()  # setrlimit(2)
)

LIMITED = (
    "memory memory_swap cpus cpu_period cpu_quota cpu_shares cpuset_cpus cpuset_mems pids_limit step_timeout".split()
)

EPOCH = "SOURCE_DATE_EPOCH"


def request_of(given: Mapping[str, Any]) -> Request:
    """The request that the options `given`, by parameter name, make. Raises `UsageError`."""
    from img_cli.outputs import outputs, parse_annotations

    return Request(
        context=given["context"],
        file=given["file"],
        tags=tuple(given["tag"]),
        args=_args(given["build_arg"]),
        labels=pairs(given["label"], "--label"),
        target=given["target"],
        platforms=listed(given["platform"]),
        outputs=outputs(given),
        no_cache=given["no_cache"],
        expect_cached=tuple(given["expect_cached"]),
        no_cache_filter=listed(given["no_cache_filter"]),
        pull=_pull(given),
        backend=given["backend"],
        frontend=given["frontend"],
        annotations=parse_annotations(given["annotation"]),
        contexts=pairs(given["build_context"], "--build-context"),
        confinement=confinement(given),
        allow=frozenset(map(_entitlement, listed(given["allow"]))),
        **hidden(given),
        **_caches(given),
        timeout=seconds_of(given["timeout"], "--timeout"),
        stdin=standard_input(given["context"], given["file"]),
    )


def _args(words: Sequence[str]) -> dict[str, str]:
    """``--build-arg``, with SOURCE_DATE_EPOCH of the environment unless it is given there: as buildx has it."""
    found = pairs(words, "--build-arg", from_environment=True)
    if epoch := os.environ.get(EPOCH):
        found.setdefault(EPOCH, epoch)
    return found


def hidden(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for ``--secret`` and ``--ssh``."""
    if not given["secret"] and not given["ssh"]:
        return {}
    from img_cli.secrets import parse_secrets, parse_ssh

    secrets, agents = parse_secrets(given["secret"], os.environ), parse_ssh(given["ssh"], os.environ)
    for id, source in secrets.items():
        if source.kind == "file":
            _check_there(f"--secret id={id}", source.source)
    for id, paths in agents.items():
        for path in paths:
            _check_there(f"--ssh {id}", path)
    return {"secrets": secrets, "ssh": agents}


def _check_there(flag: str, path: str) -> None:
    """Raises `UsageError` for a file that is not there, also in a build that turns out not to need it."""
    try:
        os.stat(path)
    except OSError as error:
        hint = "files are relative to the current folder"
        raise UsageError(f"{flag}: {path}: {error.strerror}", hint=hint) from None


def _caches(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for ``--cache-from`` and the like."""
    names = ("cache_from", "cache_to", "cache_mount_from", "cache_mount_to")
    if not any(given[name] for name in names):
        return {}
    from img_cli.caches import parse_caches

    return {name: parse_caches(given[name], f"--{name.replace('_', '-')}") for name in names}


def settings_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The settings that options of this one build say, by name; empty ones stay as they are."""
    network = given["network"]
    if network not in NETWORKS:
        raise UsageError(f"--network can't be {network!r}", hint="host, none or sandbox")
    return {
        "network": "" if network == "default" else network,
        "cgroup_parent": given["cgroup_parent"],
        "offline": "true" if given["offline"] else "",
        "store_max": given["store_max"] if size_of(given["store_max"], "--store-max") else "",
    }


def _pull(given: Mapping[str, Any]) -> str:
    """``--pull``, which must not ask for what ``--offline`` forbids."""
    policy: str = given["pull"]
    if policy not in ("", *POLICIES):
        raise UsageError(f"--pull can't be {policy!r}", hint=f"one of {', '.join(POLICIES)}, or nothing for always")
    if policy == "always" and given["offline"]:
        raise UsageError("--pull asks the registry, and --offline forbids it", hint="leave out one of them")
    return policy


def confinement(given: Mapping[str, Any]) -> Confinement:
    """``--add-host``, ``--ulimit``, ``--shm-size``, and the limits of every step."""
    hosts = tuple(_host(word) for word in given["add_host"])
    limits = tuple(_limit(word) for word in given["ulimit"])
    made = Confinement(hosts=hosts, limits=limits, shm_size=size(given["shm_size"], "--shm-size"))
    if not any(given[name] for name in LIMITED):
        return made
    from img_cli.limits import resources

    return replace(made, resources=resources(given))


def listed(words: Sequence[str]) -> tuple[str, ...]:
    """Every item of options that take several, separated by commas."""
    return tuple(item.strip() for word in words for item in word.split(",") if item.strip())


def pairs(words: Sequence[str], flag: str, from_environment: bool = False) -> dict[str, str]:
    """``name=value`` words. A bare name takes its value from the environment, and is dropped if that has none."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not (equals or from_environment):
            raise UsageError(f"invalid {flag} value {word!r}", hint=f"{flag} NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
        if not _is_text(name + found.get(name, "")):
            hint = "an image's configuration holds nothing else; is the terminal's encoding UTF-8?"
            raise UsageError(f"the value of {flag} {name} is not UTF-8", hint=hint)
    return found


def _is_text(word: str) -> bool:
    """Whether a word of the command line was UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def size(text: str, flag: str) -> int:
    """Bytes of a size, as `img.settings.size_of` has it."""
    return size_of(text, flag)


def _host(word: str) -> tuple[str, str]:
    """``HOST:IP`` or ``HOST=IP``; an IPv6 address may stand in brackets."""
    from ipaddress import ip_address

    name, mark, address = word.partition("=") if "=" in word else word.partition(":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        if not name or not mark:
            raise ValueError
        return name, str(ip_address(address))
    except ValueError:
        if address == "host-gateway":
            raise UsageError(
                "--add-host can't know host-gateway: steps use the host's own network",
                hint="use localhost, or give the address",
            ) from None
        raise UsageError(f"invalid --add-host value {word!r}", hint="--add-host NAME:ADDRESS") from None


def _limit(word: str) -> Limit:
    """``name=soft[:hard]``; -1 is no limit."""
    name, _, values = word.partition("=")
    soft, _, hard = values.partition(":")
    try:
        low, high = int(soft), int(hard or soft)
    except ValueError:
        raise UsageError(f"invalid --ulimit value {word!r}", hint="--ulimit nofile=1024:2048") from None
    if name not in LIMITS:
        raise UsageError(f"there is no limit named {name!r}", hint=f"limits: {', '.join(LIMITS)}")
    if high != -1 and (low > high or low == -1):
        raise UsageError(f"invalid --ulimit value {word!r}: the soft limit is above the hard one")
    return Limit(name, low, high)


def _entitlement(text: str) -> str:
    if text.partition("=")[0] not in ENTITLEMENTS:
        raise UsageError(f"there is no entitlement {text!r}", hint=f"entitlements: {', '.join(ENTITLEMENTS)}")
    return text
