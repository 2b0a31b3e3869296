"""Where files come from: the main context, named contexts, and what instructions may ask of the file around them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from img.errors import Place, UsageError
from img.files.ignoring import NAME as IGNORE
from img.files.ignoring import find_ignore
from img.files.patterns import read_ignore
from img.ir.nodes import Node, Source
from img.ir.values import Confinement, Notes, Pairs
from img.oci.reference import Reference
from img.ports import BaseImage, FrontendRequest, Resolver
from img_frontends.dockerfile.tree import Instruction

RESERVED = ("scratch", "context")
"""Names that no named context takes over."""


class Scope(Protocol):
    """What the instructions that make layers ask of the file around them."""

    def context(self) -> Node:
        """The main context."""

    def files_of(self, name: str, place: Place, *, numbers: bool = True) -> Node:
        """The files that ``from`` names: a stage by name (or, with `numbers`, by number), a named context, an image."""

    def notes(self, instruction: Instruction) -> Notes:
        """Title, place and group of the node that this instruction makes."""

    def builder_arg(self, name: str) -> str:
        """A build argument that is for the builder, e.g. ``BUILDKIT_CACHE_MOUNT_NS``; empty if it was not given."""

    @property
    def proxies(self) -> Pairs: ...

    @property
    def confinement(self) -> Confinement:
        """What every step of the build gets that does not say otherwise."""

    @property
    def allow(self) -> Collection[str]:
        """Entitlements that were granted."""


class Contexts:
    """The contexts of one build. Each is looked up once."""

    def __init__(self, request: FrontendRequest, resolver: Resolver) -> None:
        self._request = request
        self._resolver = resolver
        self._main: Source | None = None
        self._named: dict[tuple[str, str], BaseImage | Source | None] = {}

    def main(self) -> Source:
        """The main context, with its ignore file."""
        if self._main is None:
            found = find_ignore(self._request.options, self._resolver.context_file)
            self._main = Source("local", "context", _patterns(found))
        return self._main

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        """What stands for `name` instead of a stage or an image of that name; None if nothing does."""
        if not self._request.contexts or name.lower() in RESERVED:
            return None
        key = (familiar(name), platform)
        if key not in self._named:
            found = self._resolver.named(*key)
            if isinstance(found, Source) and found.scheme == "local" and "ignore" not in dict(found.attrs):
                data = self._resolver.context_file(IGNORE, found.ref)
                attrs = (*found.attrs, *_patterns(None if data is None else (IGNORE, data)))
                found = Source(found.scheme, found.ref, tuple(sorted(attrs)))
            self._named[key] = found
        return self._named[key]


def _patterns(found: tuple[str, bytes] | None) -> Pairs:
    """The attribute ``ignore`` of a source, from an ignore file's name and bytes."""
    patterns = read_ignore(found[1], found[0]) if found is not None else ()
    return (("ignore", "\n".join(patterns)),) if patterns else ()


def familiar(name: str) -> str:
    """A name as a named context has it: the short form of an image's, without ``:latest``."""
    try:
        return Reference.parse(name).familiar.removesuffix(":latest")
    except UsageError:
        return name
