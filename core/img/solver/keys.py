"""Cache keys: what decides a step's result, as one digest, with its parts in plain words beside it.

A *pinned* key needs nothing to be made: it is the instruction over the pinned keys of its inputs. Where an input is a
local folder, it is the content of just the files this step sees. A *content* key is the same instruction over what its
inputs turned out to be: layers named by content. So a step that had to run and made the same files again leaves every
step above it cached.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from img.digest import Encodable, digest_of
from img.ir.nodes import VERSION, Copy, Document, Node, Source
from img.ports import Folder, Pin, Snapshot

FILES = "files"
"""The part of a Copy's key that says what it takes."""


class Key(NamedTuple):
    """A key and what it was made of: (name, value) in words of the build file's author."""

    digest: str
    parts: tuple[tuple[str, str], ...]


Select = Callable[[Copy, "Folder | Snapshot"], str]
"""The content digest of the files a Copy takes from its source."""


def pinned_source(node: Source, pin: Pin) -> Key:
    """The key of a source that stands for fixed files."""
    return Key(digest_of({"key": "source", "pin": pin.key}), (("source", pin.words or pin.key),))


def folder_source(node: Source) -> Key:
    """The key of a local folder as a whole: none that promises anything; uses of it are keyed by content."""
    return Key(digest_of({"key": "folder", "ref": node.ref}), (("context", node.ref),))


def pinned(node: Node, inputs: Sequence[str], selected: str | None) -> Key:
    """The key of `node` over the pinned keys of its inputs. `selected` replaces the key of a Copy's local source."""
    return _key("pinned", node, inputs, selected)


def content(node: Node, inputs: Sequence[Snapshot | Folder], selected: str | None) -> Key:
    """The key of `node` over what its inputs are. `selected` is the content of a Copy's selection."""
    digests = [snapshot_digest(i) if isinstance(i, Snapshot) else "" for i in inputs]
    return _key("content", node, digests, selected)


def snapshot_digest(snapshot: Snapshot) -> str:
    """Identity of a filesystem by content: its layers in order."""
    return digest_of(list(snapshot.layers))


def _key(kind: str, node: Node, inputs: Sequence[str], selected: str | None) -> Key:
    names = list(inputs)
    if selected is not None:
        names[1] = selected
    document = node.keyed(list[Encodable](names))
    parts = [("step", node.step), *_words(document)]
    taken = {1: FILES} if selected is not None else {}
    parts.extend((taken.get(number, f"input {number}"), name) for number, name in enumerate(names))
    return Key(digest_of({"img": VERSION, "key": kind, **document}), tuple(parts))


def _words(document: Document) -> list[tuple[str, str]]:
    """An instruction's own fields as text; each environment variable is a part of its own."""
    words: list[tuple[str, str]] = []
    for name, value in document.items():
        if name in ("step", "inputs"):
            continue
        if name == "env" and isinstance(value, list):
            words.extend((f"env {_text(pair[0])}", _text(pair[1])) for pair in value if isinstance(pair, list))
        elif value not in ("", [], None, False, 0):
            text = " ".join(map(_text, value)) if isinstance(value, list) else _text(value)
            words.append((name, text if len(text) <= 400 else f"{digest_of(text)} ({len(text)} characters)"))
    return words


def _text(value: Encodable) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=repr)
