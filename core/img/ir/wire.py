"""The instruction stream: a Definition as text, one JSON document a line, the language between engine and backend.

    {"img": 1, "stream": "definition"}
    {"digest": "sha256:…", "step": "RUN", "inputs": ["sha256:…"], "command": ["make", "all"], …, "notes": {…}}
    …
    {"target": "linux/amd64", "root": "sha256:…", "layers": […], "base_layers": 1, "config": {…}}

Nodes come in topological order, so that a reader can act on each line as it comes. ``notes`` are for people and outside
the digest; so are ``proxies``, ``resources`` and ``retry``, which say how a step is run. Reading checks every digest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from img.errors import ImgError, Place
from img.ir.definition import Advice, Definition, Target
from img.ir.nodes import VERSION, Copy, Diff, Exec, Link, Merge, Mkdir, Node, Remove, Scratch, Source, Write
from img.ir.values import (
    Bind,
    CacheDir,
    Confinement,
    Device,
    Limit,
    Mount,
    Network,
    Notes,
    Resources,
    Secret,
    Security,
    Sharing,
    Ssh,
    Tmpfs,
)
from img.ir.walk import topological

Json = dict[str, Any]


def dump(definition: Definition) -> str:
    """The stream of `definition`, each line ending in a newline."""
    return "".join(json.dumps(document) + "\n" for document in documents(definition))


def documents(definition: Definition) -> Iterator[Json]:
    """The stream, document by document."""
    yield {"img": VERSION, "stream": "definition", "warnings": [_advice(a) for a in definition.warnings]}
    for node in topological(target.root for target in definition.targets):
        document: Json = {"digest": node.digest, **node.document()}
        document |= _beside(node)
        if notes := _notes(node.notes):
            document["notes"] = notes
        yield document
    for target in definition.targets:
        yield {
            "target": target.platform,
            "root": target.root.digest,
            "layers": list(target.layers),
            "base_layers": target.base_layers,
            "config": target.config,
            "epoch": target.epoch,
        }


def _beside(node: Node) -> Json:
    """What a node says outside its identity, but notes: how it is run."""
    document: Json = {}
    if isinstance(node, Exec | Source) and node.retry:
        document["retry"] = node.retry
    if isinstance(node, Exec):
        if node.proxies:
            document["proxies"] = dict(node.proxies)
        if resources := node.confinement.resources.document():
            document["resources"] = resources
    return document


def load(text: str) -> Definition:
    """Read a stream back. Raises `ImgError` naming the line that is not one, or whose digest is wrong."""
    nodes: dict[str, Node] = {}
    targets: list[Target] = []
    warnings: tuple[Advice, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            document = json.loads(line)
            if number == 1:
                _check_header(document)
                warnings = tuple(map(_read_advice, document.get("warnings", ())))
            elif "step" not in document:
                targets.append(_target(document, nodes))
            else:
                node = _node(document, nodes)
                nodes[node.digest] = node
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ImgError(f"line {number} of the instruction stream is not an instruction ({reason})") from error
    return Definition(tuple(targets), warnings)


def _check_header(document: Json) -> None:
    if document.get("stream") != "definition" or document.get("img") != VERSION:
        raise ValueError(f"expected the header of version {VERSION}")


def _target(document: Json, nodes: Mapping[str, Node]) -> Target:
    return Target(
        nodes[document["root"]],
        document["config"],
        document["target"],
        tuple(document["layers"]),
        document["base_layers"],
        document.get("epoch"),
    )


def _node(document: Json, nodes: Mapping[str, Node]) -> Node:
    inputs = [nodes[digest] for digest in document["inputs"]]
    node = _READERS[document["step"]](document, inputs, _read_notes(document.get("notes", {})))
    if node.digest != document["digest"]:
        raise ValueError(f"the digest of a {document['step']} does not fit its fields")
    return node


def _notes(notes: Notes) -> Json:
    document: Json = {}
    if notes.title:
        document["title"] = notes.title
    if notes.place is not None:
        document["place"] = _place(notes.place)
    if notes.group:
        document["group"] = notes.group
    if notes.fresh:
        document["fresh"] = True
    return document


def _place(place: Place) -> list[Any]:
    return [place.file, place.line, place.column, place.end_line, place.text]


def _advice(advice: Advice) -> list[Any]:
    return [advice.message, _place(advice.place) if advice.place else None, advice.rule, advice.url]


def _read_advice(fields: Sequence[Any]) -> Advice:
    message, place, rule, url = fields
    return Advice(message, Place(*place) if place else None, rule, url)


def _read_notes(document: Json) -> Notes:
    place = document.get("place")
    title, group, fresh = document.get("title", ""), document.get("group", ""), document.get("fresh", False)
    return Notes(title, Place(*place) if place else None, group, fresh)


def _pairs(value: Sequence[Sequence[str]] | Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    items = value.items() if isinstance(value, Mapping) else value
    return tuple((name, text) for name, text in items)


def _exec(d: Json, inputs: Sequence[Node], notes: Notes) -> Exec:
    confinement = Confinement(
        Network(d["network"]),
        Security(d["security"]),
        d["hostname"],
        _pairs(d["hosts"]),
        tuple(Limit(*limit) for limit in d["limits"]),
        d["shm_size"],
        Resources(**d.get("resources", {})),
    )
    mounts = tuple(_mount(mount, inputs) for mount in d["mounts"])
    return Exec(
        inputs[0],
        tuple(d["command"]),
        _pairs(d["env"]),
        d["cwd"],
        d["user"],
        mounts,
        confinement,
        devices=tuple(Device(*device) for device in d.get("devices", ())),
        proxies=_pairs(d.get("proxies", {})),
        retry=d.get("retry", 0),
        notes=notes,
    )


def _mount(document: Json, inputs: Sequence[Node]) -> Mount:
    fields = dict(document)
    kind = fields.pop("type")
    position = fields.pop("input", None)
    if kind == "bind":
        return Bind(inputs[position], **fields)
    if kind == "cache":
        fields["sharing"] = Sharing(fields["sharing"])
        return CacheDir(**fields, node=None if position is None else inputs[position])
    if kind == "secret":
        return Secret(**fields)
    if kind == "ssh":
        return Ssh(**fields)
    if kind == "tmpfs":
        return Tmpfs(**fields)
    raise ValueError(f"unknown mount type {kind!r}")


def _copy(d: Json, inputs: Sequence[Node], notes: Notes) -> Copy:
    return Copy(
        inputs[0],
        inputs[1],
        tuple(d["paths"]),
        d["dest"],
        d["owner"],
        d["mode"],
        tuple(d["excludes"]),
        d["parents"],
        d["unpack"],
        d["literal"],
        d["keep_owner"],
        mtime=d.get("mtime"),
        notes=notes,
    )


_READERS: dict[str, Callable[[Json, Sequence[Node], Notes], Node]] = {
    "SCRATCH": lambda d, i, notes: Scratch(notes=notes),
    "SOURCE": lambda d, i, notes: Source(
        d["scheme"], d["ref"], _pairs(d["attrs"]), retry=d.get("retry", 0), notes=notes
    ),
    "RUN": _exec,
    "COPY": _copy,
    "MKDIR": lambda d, i, notes: Mkdir(i[0], d["path"], d["mode"], d["owner"], mtime=d.get("mtime"), notes=notes),
    "WRITE": lambda d, i, notes: Write(
        i[0], d["path"], base64.b64decode(d["data"]), d["mode"], d["owner"], notes=notes
    ),
    "REMOVE": lambda d, i, notes: Remove(i[0], d["path"], d["wildcard"], d["missing_ok"], notes=notes),
    "LINK": lambda d, i, notes: Link(i[0], d["path"], d["target"], d["owner"], notes=notes),
    "MERGE": lambda d, i, notes: Merge(tuple(i), notes=notes),
    "DIFF": lambda d, i, notes: Diff(i[0], i[1], notes=notes),
}
