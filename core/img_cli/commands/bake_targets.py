"""A target of ``img bake`` as a request: what ``img build`` would have been told."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from img.errors import ImgError, UsageError
from img.ir.values import Network
from img.request import Request
from img_cli.commands.request import LIMITED, listed
from img_cli.commands.request import request_of as request_of_words

NETWORKS = ("default", "host", "none", "sandbox")
PATHS = {"output": "dest", "cache-to": "dest", "cache-from": "src", "secret": "src"}
"""The attribute of an option's words that is a path."""


def request_of(name: str, one: Mapping[str, Any], folder: str, own: str, given: Mapping[str, Any]) -> Request:
    """The request for the target `name` of a file in `folder`; `own` is that file if it is the build file itself. Raises
    `UsageError`, which names the target."""
    try:
        request = request_of_words(_words(one, folder, own, given))
        _check_granted(one, given)
        network = one.get("network", "default")
        if network not in NETWORKS:
            raise UsageError(f"network can't be {network!r}", hint=f"one of {', '.join(NETWORKS)}")
    except ImgError as error:
        raise UsageError(f"target {name}: {error.message}", hint=error.hint) from None
    if network in ("none", "sandbox"):
        request = replace(request, confinement=replace(request.confinement, network=Network(network)))
    inline = one.get("dockerfile-inline")
    return request if inline is None else replace(request, file="-", stdin=io.BytesIO(inline.encode()))


def _check_granted(one: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """A file asks for entitlements; only who calls grants them."""
    for asked in one.get("entitlements", ()):
        if asked not in listed(given["allow"]):
            raise UsageError(f"it asks for {asked}, which was not granted", hint=f"img bake --allow {asked}")


def _words(one: Mapping[str, Any], folder: str, own: str, given: Mapping[str, Any]) -> dict[str, Any]:
    context = _here(one.get("context", "."), folder)
    dockerfile = one.get("dockerfile", "")
    local = "://" not in context and not context.startswith("git@")
    words = {
        "context": context,
        "file": (os.path.join(context, dockerfile) if local else dockerfile) if dockerfile else own,
        "tag": one.get("tags", ()),
        "build_arg": _pairs(one, "args"),
        "label": _pairs(one, "labels"),
        "target": one.get("target", ""),
        "platform": one.get("platforms", ()),
        "output": _attributes(one, "output", folder),
        "cache_from": _attributes(one, "cache-from", folder),
        "cache_to": _attributes(one, "cache-to", folder),
        "secret": _attributes(one, "secret", folder),
        "ssh": one.get("ssh", ()),
        "build_context": [f"{key}={_here(value, folder)}" for key, value in one.get("contexts", {}).items()],
        "add_host": [f"{key}={value}" for key, value in one.get("extra-hosts", {}).items()],
        "shm_size": one.get("shm-size", ""),
        "ulimit": one.get("ulimits", ()),
        "annotation": one.get("annotations", ()),
        "allow": given["allow"],
        "no_cache": given["no_cache"] or one.get("no-cache", False),
        "no_cache_filter": one.get("no-cache-filter", ()),
        "pull": "always" if given["pull"] or one.get("pull") else "",
        "push": given["push"],
        "load": given["load"],
        "backend": given["backend"],
    }
    return {**_NOTHING, **words}


_NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(LIMITED, ""),
    **dict.fromkeys(("frontend", "timeout", "iidfile", "metadata_file"), ""),
    **dict.fromkeys(("expect_cached", "cache_mount_from", "cache_mount_to"), ()),
    **dict.fromkeys(("offline", "quiet"), False),
}
"""Options of ``img build`` that no target says."""


def _pairs(one: Mapping[str, Any], key: str) -> list[str]:
    return [f"{name}={value}" for name, value in one.get(key, {}).items()]


def _here(path: str, folder: str) -> str:
    """A path of the file's folder; addresses and absolute paths as they are."""
    if not folder or ":" in path.partition("/")[0] or path.startswith("/"):
        return path
    return os.path.normpath(os.path.join(folder, path))


def _attributes(one: Mapping[str, Any], key: str, folder: str) -> Sequence[str]:
    """The words of an option, with the paths in them."""
    words: list[str] = one.get(key, [])
    if not folder or not words:
        return words
    return [_placed(word, PATHS[key], folder) for word in words]


def _placed(word: str, path: str, folder: str) -> str:
    import csv

    if "=" not in word:
        return _here(word, folder) if path == "dest" else word
    fields = [field.partition("=") for field in next(csv.reader([word]), [])]
    row = io.StringIO()
    placed = [f"{name}={_here(value, folder) if name == path else value}" for name, _, value in fields]
    csv.writer(row, lineterminator="").writerow(placed)
    return row.getvalue()
