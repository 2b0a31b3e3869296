"""``include``: documents of the context whose arguments, stages and targets are joined to the one that names them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from img.errors import FrontendError
from img.ports import FrontendRequest, Resolver
from img_frontends.document.bind import bind
from img_frontends.document.instructions import at
from img_frontends.document.model import Document
from img_frontends.document.values import Tree

Read = Callable[[bytes, str], Tree]
"""Reads one language. Raises `FrontendError`."""


def reader_of(name: str) -> Read | None:
    """Who reads a file of that name; None if it is neither YAML nor TOML."""
    if name.endswith((".yaml", ".yml", ".json")):
        from img_frontends.yaml.read import read_yaml

        return read_yaml
    if name.endswith(".toml"):
        from img_frontends.toml.read import read_toml

        return read_toml
    return None


def load(request: FrontendRequest, resolver: Resolver, read: Read) -> Document:
    """The document of a request with all that it includes. Raises `FrontendError`, and what the resolver raises."""
    document = bind(read(request.text, request.file), above(request.file))
    return _Includes(resolver).joined(document, request.options.get("path", ""), ())


def above(file: str) -> str:
    """What the paths of keys begin with in a file of that name."""
    from img_frontends.toml.read import TABLE, is_project

    return ".".join(TABLE) if is_project(file) else ""


class _Includes:
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._done: set[str] = set()

    def joined(self, document: Document, path: str, open: tuple[str, ...]) -> Document:
        """The document with what it includes before its own; what is included twice is taken once."""
        args: dict[str, Any] = {}
        stages: dict[str, Any] = {}
        targets: dict[str, Any] = {}
        parts = [*self._parts(document, path, (*open, path)), document]
        for part in parts:
            for found, pairs in ((args, part.args), (stages, part.stages), (targets, part.targets)):
                for name, one in pairs:
                    if name in found:
                        hint = f"it stands at {at(found[name])} too"
                        raise FrontendError(f"{name} is there twice", hint=hint, place=at(one))
                    found[name] = one
        return replace(
            document, include=(), args=(*args.items(),), stages=(*stages.items(),), targets=(*targets.items(),)
        )

    def _parts(self, document: Document, path: str, open: tuple[str, ...]) -> list[Document]:
        found = []
        for number, name in enumerate(document.include):
            place = at(document, f"include.{number}", "include")
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            if inner.startswith(("../", "/")) or inner == "..":
                hint = "documents are included from the context, by their path from the one that names them"
                raise FrontendError(f"{name} is outside of the context", hint=hint, place=place)
            if inner in open:
                way = " → ".join([*open[open.index(inner) :], inner])
                raise FrontendError(f"{name} includes itself: {way}", hint="leave one of them out", place=place)
            if inner in self._done:
                continue
            self._done.add(inner)
            found.append(self._part(inner, name, place, open))
        return found

    def _part(self, inner: str, name: str, place: Any, open: tuple[str, ...]) -> Document:
        read = reader_of(inner)
        if read is None:
            raise FrontendError(f"{name} can't be included", hint="a name ends in .yaml, .yml or .toml", place=place)
        data = self._resolver.context_file(inner)
        if data is None:
            raise FrontendError(f"there is no {inner} in the context", hint="see img context ls", place=place)
        part = bind(read(data, inner), above(inner))
        unnamed = dict(part.stages).get("")
        if unnamed is not None and unnamed.base:
            hint = "put what it says below stages: NAME:"
            raise FrontendError(f"{inner} is a stage without a name", hint=hint, place=at(unnamed))
        if unnamed is not None:
            part = replace(part, stages=())
        return self.joined(part, inner, open)
