"""What a build yields: targets, each a node with the image configuration that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from img.errors import Place
from img.ir.nodes import Node

Json = Any
"""A JSON value: what `json.loads` returns."""


class Advice(NamedTuple):
    """What people should be told about a build file that can be built all the same. Outside every identity."""

    message: str
    place: Place | None = None
    rule: str = ""
    """Name of the lint rule that says so, empty for other advice."""
    url: str = ""
    """Where the rule is explained."""


@dataclass(frozen=True)
class Target:
    """One image to be: a filesystem, its configuration, and where its layers end.

    `config` is an OCI image configuration (config.md) without ``rootfs`` and ``created``. It must not be changed.
    The ``history`` in it holds the base's entries as they are and one entry per new instruction, in order; an entry
    without ``empty_layer`` stands for one layer. `layers` names, in order, the nodes after which a *new* layer
    closes: one for each non-empty new history entry. Nodes between two of them share a layer. New entries have no
    ``created``: the exporter fills it in.
    """

    root: Node
    config: Mapping[str, Json]
    platform: str
    layers: tuple[str, ...] = ()
    base_layers: int = 0
    """How many layers, counted from the bottom, are the base image's own and stay as they are."""
    epoch: int | None = None
    """Unix time that the image and its new history entries say they were created at; None: when it was."""


@dataclass(frozen=True)
class Definition:
    """The targets of a build, one per platform, and what people should be told about them."""

    targets: tuple[Target, ...]
    warnings: tuple[Advice, ...] = field(default=())

    def _repr_svg_(self) -> str:
        """As Jupyter shows it."""
        from img.ir.picture import svg

        return svg(self)
