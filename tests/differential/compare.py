"""What two builders made of one case, and how it differs."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.differential.contexts import escaped
from tests.peers import flatten


def differences(ours: flatten.Whole, theirs: flatten.Whole, times: list[str], skip: tuple[str, ...]) -> list[str]:
    """Every difference in words: files, then the times of `times`, the configuration, the history."""
    left, right = _plain(ours.flat.files), _plain(theirs.flat.files)
    found = flatten.differences(left, right, skip)
    for name in times:
        if ours.times.get(name) != theirs.times.get(name):
            found.append(f"{name}: modified: img {ours.times.get(name)}, peer {theirs.times.get(name)}")
    mine, its = _document(ours), _document(theirs)
    for key in sorted({*mine, *its}):
        if mine.get(key) != its.get(key):
            found.append(f"config {key}: img {mine.get(key)!r}, peer {its.get(key)!r}")
    return found


def _plain(files: dict[str, flatten.File]) -> dict[str, flatten.File]:
    """Without user.* attributes, which only img keeps (differences.md)."""
    return {
        name: file._replace(xattrs=tuple(x for x in file.xattrs if not x[0].startswith("user.")))
        for name, file in files.items()
    }


def _document(image: flatten.Whole) -> dict[str, Any]:
    """The configuration as one flat table without what must differ: times, digests of layers."""
    document = dict(image.flat.config)
    inner = document.pop("config", {})
    history = document.pop("history", None) or []
    document.pop("created", None)
    document["layers"] = len(document.pop("rootfs")["diff_ids"] or [])
    document |= {f"config.{key}": value for key, value in inner.items() if value not in (None, "", [], {})}
    for number, entry in enumerate(history):
        document[f"history[{number}]"] = {key: value for key, value in entry.items() if key != "created"}
    return document


def unmet(text: str, image: flatten.Whole) -> list[str]:
    """What an expected tree says that is not so: lines ``name kind mode uid:gid [link]``, or ``name absent``."""
    found: list[str] = []
    for line in filter(None, text.splitlines()):
        word, *rest = line.split()
        name = os.fsdecode(escaped(word))
        file = image.flat.files.get(name)
        if rest == ["absent"]:
            if file is not None:
                found.append(f"{name}: is there")
            continue
        if file is None:
            found.append(f"{name}: is not there")
            continue
        kind = {b"0": "file", b"5": "dir", b"2": "link", b"6": "fifo", b"3": "char"}[file.kind]
        actual = [kind, f"{file.mode:o}", f"{file.uid}:{file.gid}", *([file.link] if file.link else [])]
        if actual[: len(rest)] != rest:
            found.append(f"{name}: is {' '.join(actual)}, expected {' '.join(rest)}")
    return found


def unmet_config(text: str, image: flatten.Whole) -> list[str]:
    """Which keys of an expected configuration (a JSON object; null: not there) are otherwise."""
    inner = image.flat.config.get("config", {})
    return [
        f"config {key}: is {inner.get(key)!r}, expected {value!r}"
        for key, value in json.loads(text).items()
        if inner.get(key) != value
    ]
