"""``--output``, ``--push``, ``--load`` and ``--annotation``: words to attributes of exporters."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from img.errors import UsageError

LEVELS = ("manifest", "index", "manifest-descriptor", "index-descriptor")


def outputs(given: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    """Every output that was asked for, also by the short words. Raises `UsageError`."""
    found = [parse_output(text) for text in given["output"]]
    if given["push"]:
        if not given["tag"]:
            raise UsageError("--push needs a name", hint="name the image with -t HOST/NAME:TAG")
        found.append({"type": "registry"})
    if given["load"]:
        found.append({"type": "image"})
    if [attrs.get("dest") for attrs in found].count("-") > 1:
        raise UsageError("only one output can go to standard output", hint="give the others dest=FILE")
    if not found and not given["tag"] and (given["iidfile"] or given["metadata_file"] or given["quiet"]):
        found.append({"type": "image"})
    return tuple(found)


def parse_output(text: str) -> dict[str, str]:
    """``type=…,dest=…`` (comma-separated, quoted as CSV); a bare path is ``type=local``, ``-`` a tar on stdout."""
    import csv

    if text == "-":
        _refuse_terminal()
        return {"type": "tar", "dest": "-"}
    if "=" not in text and "," not in text:
        return {"type": "local", "dest": text}
    attrs: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        name, equals, value = field.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"invalid --output {text!r}: {field!r} is not name=value", hint="type=oci,dest=image.tar")
        attrs[_key(name.strip())] = value
    if "type" not in attrs:
        raise UsageError(f"--output {text!r} has no type", hint="type=oci,dest=image.tar")
    if attrs.get("dest") == "-" or ("dest" not in attrs and attrs["type"] in ("oci", "tar", "docker")):
        attrs["dest"] = "-"
        _refuse_terminal()
    return attrs


def parse_annotations(words: Sequence[str]) -> dict[str, str]:
    """``[LEVEL[,LEVEL][[PLATFORM]]:]KEY=VALUE`` as attributes of exporters, ``annotation-LEVEL[PLATFORM].KEY``."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        levels, colon, name = key.rpartition(":")
        if not colon or not all(level.partition("[")[0] in LEVELS for level in levels.split(",")):
            levels, name = "manifest", key
        if not equals or not name:
            raise UsageError(f"invalid --annotation {word!r}", hint="--annotation KEY=VALUE, or index:KEY=VALUE")
        found.update({f"annotation-{level}.{name}": value for level in levels.split(",")})
    return found


def _key(name: str) -> str:
    """An attribute's name in lower case, but for an annotation's own key."""
    head, dot, rest = name.partition(".")
    return f"{head.lower()}{dot}{rest}" if head.lower().startswith("annotation") else name.lower()


def _refuse_terminal() -> None:
    if sys.stdout.isatty():
        raise UsageError("cowardly refusing to write an archive to a terminal", hint="redirect it, or give dest=FILE")
