"""What the tests of checks and calls share: a resolver of one image, and files given as text."""

from __future__ import annotations

from img.errors import NotFound
from img.ir.nodes import Source
from img.ports import BaseImage, FrontendRequest

BASE = Source("docker-image", "docker.io/library/base:1@sha256:" + "1" * 64, (("platform", "linux/amd64"),))
CONFIG = {"Env": ["PATH=/bin", "HOME=/home"]}


class World:
    """A `Resolver`: any image whose name does not begin with ``nowhere``, and files of the context. Counts what it is asked."""

    def __init__(
        self,
        config: dict[str, object] | None = None,
        files: dict[str, bytes] | None = None,
        architecture: str = "amd64",
    ) -> None:
        self._config = CONFIG if config is None else config
        self._files = files or {}
        self._architecture = architecture
        self.asked: list[str] = []

    def image(self, ref: str, platform: str) -> BaseImage:
        self.asked.append(ref)
        if ref.startswith("nowhere"):
            raise NotFound(f"there is no {ref}")
        config = {"architecture": self._architecture, "os": "linux", "config": self._config}
        return BaseImage(BASE, config, 1)

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        return self._files.get(path)

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        return None

    def modified(self, context: str) -> int | None:
        return None


def asked(text: str | bytes, **how: object) -> FrontendRequest:
    """A request for a file."""
    data = text.encode() if isinstance(text, str) else text
    return FrontendRequest("Dockerfile", data, build_platform="linux/amd64", **how)  # type: ignore[arg-type]
