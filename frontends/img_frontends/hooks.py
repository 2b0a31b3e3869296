"""What img's own frontends offer. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

from collections.abc import Iterable

from img.plugin.mark import hookimpl
from img.plugin.offers import Offer

img_contract = 1
DOCKERFILE = ("dockerfile", "dockerfile.v0", "docker/dockerfile", "docker/dockerfile-upstream")
"""What a ``syntax`` calls the Dockerfile's own frontend."""


@hookimpl
def img_offers() -> Iterable[Offer]:
    return [
        Offer(
            "frontend",
            "dockerfile",
            "Dockerfile and Containerfile",
            "img_frontends.dockerfile.frontend:DockerfileFrontend",
        ),
        Offer("frontend", "yaml", "img.yaml: a document in YAML", "img_frontends.yaml.frontend:YamlFrontend"),
        Offer("frontend", "toml", "img.toml: a document in TOML", "img_frontends.toml.frontend:TomlFrontend"),
    ]


@hookimpl
def img_detect_frontend(file: str, head: bytes) -> str | None:
    """Who the file asks for with ``syntax``; else a document by its name; else it is taken for a Dockerfile, whatever its
    name, as `docker build -f` does. Every form of ``docker/dockerfile`` means img's own frontend, which is never fetched."""
    by_name = named(file)
    if b"syntax" not in head.lower():
        return by_name
    from img_frontends.dockerfile.directives import syntax_of

    syntax = syntax_of(head)
    name = syntax.removeprefix("docker.io/").partition("@")[0].partition(":")[0]
    if not name:
        return by_name
    return "dockerfile" if name in DOCKERFILE else syntax


def named(file: str) -> str:
    """The frontend that a file's name tells: ``img.yaml``, ``img.yml``, ``img.toml`` (also with something and a dot before
    it), and ``pyproject.toml`` are documents."""
    name = file.rpartition("/")[2]
    if name == "pyproject.toml":
        return "toml"
    stem, _, ending = name.rpartition(".")
    if stem.rpartition(".")[2] != "img":
        return "dockerfile"
    return {"yaml": "yaml", "yml": "yaml", "toml": "toml"}.get(ending, "dockerfile")
