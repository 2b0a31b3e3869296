"""Documents lowered with a resolver that knows one image."""

from __future__ import annotations

from typing import Any

from tests.unit.dockerfile.lowering import Resolver

from img.errors import FrontendError
from img.ir.definition import Definition
from img.ports import FrontendRequest
from img_frontends.dockerfile import lower as dockerfile
from img_frontends.document.bind import bind
from img_frontends.document.lower import lower
from img_frontends.document.model import Document
from img_frontends.toml.read import read_toml
from img_frontends.yaml.read import read_yaml

READERS: dict[str, Any] = {"yaml": read_yaml, "toml": read_toml}


def definition(text: str, kind: str = "yaml", resolver: Any = None, **how: Any) -> Definition:
    """The Definition of a document, or of a Dockerfile."""
    file = "Dockerfile" if kind == "dockerfile" else f"img.{kind}"
    request = FrontendRequest(file, text.encode(), build_platform="linux/amd64", options={"path": file}, **how)
    resolver = resolver or Resolver()
    if kind == "dockerfile":
        return dockerfile.lower(request, resolver)
    return lower(request, resolver, READERS[kind])


def images(definition: Definition) -> list[Any]:
    """What makes the images of a definition what they are."""
    return [(one.root.digest, one.config, one.layers, one.base_layers, one.platform) for one in definition.targets]


def document(text: str, kind: str = "yaml", file: str = "") -> Document:
    return bind(READERS[kind](text.encode(), file or f"img.{kind}"))


def problems(text: str, kind: str = "yaml", **how: Any) -> list[FrontendError]:
    """Every problem of a document."""
    try:
        definition(text, kind, **how)
    except FrontendError as error:
        return [error, *error.others]
    raise AssertionError(f"nothing is wrong with {text!r}")
