"""A resolver that knows one image, and short ways to lower a text with it."""

from __future__ import annotations

from typing import Any

from img.errors import FrontendError, NotFound
from img.ir.definition import Target
from img.ir.nodes import Copy, Exec, Source
from img.ports import BaseImage, FrontendRequest
from img_frontends.dockerfile.lower import lower

BASE = Source("docker-image", "docker.io/library/base:1@sha256:" + "1" * 64, (("platform", "linux/amd64"),))
CONTEXT = Source("local", "context")
DIGEST = "sha256:" + "2" * 64


class Resolver:
    """Images that begin with ``base``; files of contexts by (context, path); named contexts; times by name."""

    def __init__(
        self,
        config: dict[str, object] | None = None,
        files: dict[Any, bytes] | None = None,
        named: dict[str, BaseImage | Source] | None = None,
        times: dict[str, int] | None = None,
    ) -> None:
        self._config = config or {"Env": ["PATH=/bin", "B=base"], "Cmd": ["sh"]}
        self._files = {key if isinstance(key, tuple) else ("context", key): data for key, data in (files or {}).items()}
        self._named = named or {}
        self._times = times or {}
        self.asked: list[tuple[str, str]] = []

    def image(self, ref: str, platform: str) -> BaseImage:
        self.asked.append((ref, platform))
        if not ref.startswith("base"):
            raise NotFound(f"there is no {ref}")
        return BaseImage(BASE, image(self._config), 1)

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        return self._files.get((context, path))

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        return self._named.get(name)

    def modified(self, context: str) -> int | None:
        return self._times.get(context)


def image(config: dict[str, object]) -> dict[str, object]:
    """An image configuration around `config`."""
    history = [{"created": "2020-01-01T00:00:00Z", "created_by": "base"}]
    return {"architecture": "amd64", "os": "linux", "config": config, "history": history}


def targets(text: str, resolver: Resolver | None = None, **how: object) -> tuple[Target, ...]:
    request = FrontendRequest(
        "Dockerfile", text.encode("utf-8", "surrogateescape"), build_platform="linux/amd64", **how
    )  # type: ignore[arg-type]
    return lower(request, resolver or Resolver()).targets


def target(text: str, resolver: Resolver | None = None, **how: object) -> Target:
    return targets(text, resolver, **how)[0]


def root(text: str, resolver: Resolver | None = None, **how: object) -> Any:
    """The last node of a text that goes on from the base."""
    return target(f"FROM base\n{text}", resolver, **how).root


def step(text: str, resolver: Resolver | None = None, **how: object) -> Exec:
    """The same, where it is a RUN."""
    node = root(text, resolver, **how)
    assert isinstance(node, Exec)
    return node


def copied(text: str, resolver: Resolver | None = None, **how: object) -> Copy:
    """The same, where it is a Copy."""
    node = root(text, resolver, **how)
    assert isinstance(node, Copy)
    return node


def environment(text: str, resolver: Resolver | None = None, **how: object) -> dict[str, str]:
    """What the last RUN of a whole file sees."""
    node = target(text, resolver, **how).root
    assert isinstance(node, Exec)
    return dict(node.env)


def config(text: str, resolver: Resolver | None = None, **how: object) -> dict[str, Any]:
    found: dict[str, Any] = target(f"FROM base\n{text}", resolver, **how).config["config"]
    return found


def history(text: str, **how: object) -> list[str]:
    return [entry["created_by"] for entry in target(f"FROM base\n{text}", **how).config["history"][1:]]


def problems(text: str, resolver: Resolver | None = None, **how: object) -> list[FrontendError]:
    """Every problem of a text that can't be lowered."""
    try:
        target(text, resolver, **how)
    except FrontendError as error:
        return [error, *error.others]
    raise AssertionError(f"nothing is wrong with {text!r}")
