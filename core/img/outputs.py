"""From finished goals to exporters."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from img.engine import Engine
from img.errors import ImgError, UsageError
from img.ir.definition import Definition, Target
from img.ir.walk import chain, width
from img.ports import Export, Exported, Snapshot
from img.request import BuildResult, Options

Output = tuple[str, dict[str, str]]
"""An exporter's name and its attributes."""

IMAGES = ("image", "registry", "oci", "docker", "containerd", "buildkit")
"""Exporters that write images, and take the build's tags as ``name`` unless they were given one."""


def chosen(engine: Engine, options: Options) -> list[Output]:
    """The exporters of a build, in order. Tags without any output go to the image store. Raises `UsageError`."""
    from img.oci.reference import Reference

    names = ",".join(str(Reference.parse(tag)) for tag in options.tags)
    if not options.outputs:
        return [("image", {"name": names, **options.annotations})] if names else []
    outputs: list[Output] = []
    known = engine.registry.names("exporter")
    for asked in options.outputs:
        attrs = dict(asked)
        kind = attrs.pop("type", "")
        if kind not in known:
            raise UsageError(f"there is no output type {kind!r}", hint=f"types: {', '.join(known)}")
        if kind in IMAGES:
            attrs = {**options.annotations, **attrs}
            if names:
                attrs.setdefault("name", names)
        outputs.append((kind, attrs))
    return outputs


def leaves_base(kind: str, attrs: Mapping[str, str]) -> bool:
    """Whether an output can do without the bytes of a base's layers: a push that keeps no copy, and packs nothing anew."""
    kept = kind != "registry" and (kind != "image" or _says(attrs, "store", "true"))
    return not kept and not _says(attrs, "force-compression")


def _says(attrs: Mapping[str, str], name: str, default: str = "false") -> bool:
    return attrs.get(name, default).lower() in ("true", "1", "")


def export(
    engine: Engine, definition: Definition, snapshots: Sequence[Snapshot], outputs: Sequence[Output]
) -> BuildResult:
    """Hand each finished target to each exporter."""
    exports = [finished(engine, target, s) for target, s in zip(definition.targets, snapshots, strict=True)]
    done: list[Exported] = [engine.load("exporter", kind).export(exports, attrs) for kind, attrs in outputs]
    facts = {name: value for one in done for name, value in one.facts.items()}
    kept = [attrs for kind, attrs in outputs if kind == "image" and _says(attrs, "store", "true")]
    names = [name for attrs in kept for name in attrs.get("name", "").split(",")]
    found = [(name, engine.store.images.get(name)) for name in names if name]
    images = tuple((name, descriptor.digest) for name, descriptor in found if descriptor is not None)
    return BuildResult(images, tuple(one.line for one in done), definition.warnings, tuple(snapshots), facts)


def layer_groups(target: Target, snapshot: Snapshot) -> list[tuple[str, ...]]:
    """Which store layers make each layer of the image: the base's one by one, then those of the nodes up to and with
    each that closes a layer. Relies on each node of `chain` but the first having added `width` layers."""
    nodes = chain(target.root)
    base = _base(target, snapshot)
    groups: list[tuple[str, ...]] = [(id,) for id in snapshot.layers[:base]]
    closing = frozenset(target.layers)
    pending: list[str] = []
    at = base
    for node in nodes[1:]:
        pending.extend(snapshot.layers[at : at + width(node)])
        at += width(node)
        if node.digest in closing:
            groups.append(tuple(pending))
            pending = []
    if pending:
        raise ImgError("the frontend's target has nodes above its last layer; this is an error of the frontend")
    return groups


def _base(target: Target, snapshot: Snapshot) -> int:
    """How many layers of the store the first node of the target's chain has."""
    return len(snapshot.layers) - sum(map(width, chain(target.root)[1:]))


def finished(engine: Engine, target: Target, snapshot: Snapshot) -> Export:
    """A target with its filesystem, as exporters get it."""
    groups = layer_groups(target, snapshot)
    base = _base(target, snapshot)
    rows = [engine.store.layers.get(group[-1]) for group in groups[base:]]
    now = target.epoch
    created = tuple(rfc3339(row.created if row else 0.0) if now is None else rfc3339(now) for row in rows)
    return Export(target, snapshot, tuple(groups), created)


def rfc3339(seconds: float) -> str:
    """Unix time as OCI's configurations write it, in UTC with nanoseconds."""
    whole = int(seconds)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{text}.{int((seconds - whole) * 1e9):09d}Z"
