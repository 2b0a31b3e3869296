"""What the executor's flags say of registries, as settings and a ``registries.toml`` of ours."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

from img.errors import UsageError
from img.oci.reference import DOCKER_HUB, Reference
from img_cli.commands.kaniko.flags import Given

EVERY = "*"
"""In the setting ``insecure_registries``: whatever registry it is."""


def insecure(given: Given, names: Iterable[str]) -> str:
    """The setting ``insecure_registries``: hosts that plain HTTP, or any certificate, will do for."""
    hosts = [*given.many("insecure-registry"), *given.many("skip-tls-verify-registry")]
    if given.on("insecure") or given.on("skip-tls-verify"):
        hosts += [Reference.parse(name).registry for name in names]
    if given.on("insecure-pull") or given.on("skip-tls-verify-pull"):
        hosts.append(EVERY)
    return ",".join(dict.fromkeys(hosts))


def registries(given: Given, environ: Mapping[str, str]) -> str:
    """The text of a ``registries.toml`` for mirrors and certificates; empty if the flags say nothing of them."""
    alone = given.on("skip-default-registry-fallback")
    rows: list[str] = []
    for registry, places in _mirrors(given, environ).items():
        # without the registry itself behind them, the last mirror takes its place
        last = places.pop() if alone else ""
        rows.append(f"[registry.{_text(registry)}]")
        rows += [f"location = {_text(last)}"] if last else []
        rows += [f"mirrors = [{', '.join(map(_text, places))}]", 'fallback = "on-error"', ""]
    for host, keys in _certificates(given).items():
        rows += [f"[host.{_text(host)}]", *(f"{key} = {value}" for key, value in keys.items()), ""]
    return "\n".join(rows)


def _mirrors(given: Given, environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Places by registry, in the order they are asked."""
    found: dict[str, list[str]] = {}
    hub = [*given.many("registry-mirror"), *filter(None, [environ.get("KANIKO_REGISTRY_MIRROR", "")])]
    maps = [*given.many("registry-map"), *filter(None, [environ.get("KANIKO_REGISTRY_MAP", "")])]
    for word in maps:
        for pair in filter(None, word.split(";")):
            registry, equals, place = pair.partition("=")
            if not equals or not registry or not place:
                raise UsageError(f"invalid --registry-map value {pair!r}", hint="REGISTRY=MIRROR")
            name = DOCKER_HUB if registry in ("index.docker.io", "registry-1.docker.io") else registry
            found.setdefault(name, []).append(place)
    for place in hub:
        found.setdefault(DOCKER_HUB, []).append(place)
    return found


def _certificates(given: Given) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for word in given.many("registry-certificate"):
        host, _, file = word.partition("=")
        _file(file, word, "--registry-certificate", "REGISTRY=FILE")
        found.setdefault(host, {})["ca"] = f"[{_text(os.path.abspath(file))}]"
    for word in given.many("registry-client-cert"):
        host, _, files = word.partition("=")
        cert, _, key = files.partition(",")
        for file in (cert, key):
            _file(file, word, "--registry-client-cert", "REGISTRY=CERTIFICATE,KEY")
        found.setdefault(host, {}).update(
            {"client-cert": _text(os.path.abspath(cert)), "client-key": _text(os.path.abspath(key))}
        )
    return found


def _file(file: str, word: str, flag: str, form: str) -> None:
    if not file:
        raise UsageError(f"invalid {flag} value {word!r}", hint=f"{flag} {form}")
    if not os.path.isfile(file):
        raise UsageError(f"{flag} names {file}, which is not a file")


def _text(text: str) -> str:
    """A TOML string: JSON's is one."""
    return json.dumps(text)
