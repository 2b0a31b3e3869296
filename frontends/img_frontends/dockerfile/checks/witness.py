"""A resolver that remembers its answers, so that checks after lowering know what lowering knew and ask nothing."""

from __future__ import annotations

from img.ir.nodes import Source
from img.ports import BaseImage, Resolver


class Witness:
    """A `Resolver` in front of another one."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.images: dict[tuple[str, str], BaseImage] = {}
        """What was found, by the name in the file and the platform asked for."""
        self.files: dict[str, bytes | None] = {}
        """Files of the main context that were asked for."""

    def image(self, ref: str, platform: str) -> BaseImage:
        """See `img.ports.Resolver`."""
        found = self._resolver.image(ref, platform)
        self.images[ref, platform] = found
        return found

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        """See `img.ports.Resolver`."""
        if context != "context":
            return self._resolver.context_file(path, context)
        self.files[path] = self._resolver.context_file(path)
        return self.files[path]

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        """See `img.ports.Resolver`."""
        found = self._resolver.named(name, platform)
        if isinstance(found, BaseImage):
            self.images[name, platform] = found
        return found

    def modified(self, context: str) -> int | None:
        """See `img.ports.Resolver`."""
        return self._resolver.modified(context)
