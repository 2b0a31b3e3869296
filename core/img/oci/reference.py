"""Names of images, as Docker writes and completes them (distribution reference grammar)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from img.digest import is_digest
from img.errors import UsageError

DOCKER_HUB = "docker.io"
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_ADVICE = "write it like name:tag or host:5000/path/name:tag, in lower case"


@dataclass(frozen=True, slots=True)
class Reference:
    """A whole name: registry host, repository path, and a tag, a digest, or both."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The short form that people type: ``busybox:latest`` for ``docker.io/library/busybox:latest``."""
        text = str(self)
        for prefix in (f"{DOCKER_HUB}/library/", f"{DOCKER_HUB}/"):
            if text.startswith(prefix):
                return text.removeprefix(prefix)
        return text

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag

    def at(self, digest: str) -> Reference:
        """The same name pinned to `digest`."""
        return Reference(self.registry, self.repository, self.tag, digest)

    def untagged(self, digest: str) -> Reference:
        """The same repository, by `digest` alone."""
        return Reference(self.registry, self.repository, "", digest)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read and complete a name: ``docker.io``, ``library/`` and ``:latest`` are what is left out.

        Raises `UsageError` naming the part that is wrong.
        """
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise UsageError(f"invalid image name {text!r}: {digest!r} is not a sha256 digest", hint=_ADVICE)
        rest, tag = _split_tag(rest)
        if tag is not None and not _TAG.match(tag):
            raise UsageError(f"invalid image name {text!r}: {tag!r} is not a tag", hint=_ADVICE)
        registry, repository = _split_host(rest)
        if not _HOST.match(registry):
            raise UsageError(f"invalid image name {text!r}: {registry!r} is not a host", hint=_ADVICE)
        for component in repository.split("/"):
            if not _COMPONENT.match(component):
                problem = "upper case" if component.lower() != component else "not a part of a name"
                raise UsageError(f"invalid image name {text!r}: {component!r} is {problem}", hint=_ADVICE)
        if len(repository) > 255:
            raise UsageError(f"invalid image name {text[:40]!r}…: it is longer than 255 characters")
        return cls(registry, repository, tag if tag is not None else "" if digest else "latest", digest)


def _split_tag(text: str) -> tuple[str, str | None]:
    head, colon, tail = text.rpartition(":")
    if not colon or "/" in tail:
        return text, None
    return head, tail


def _split_host(text: str) -> tuple[str, str]:
    head, slash, tail = text.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost" or head.lower() != head):
        registry, repository = DOCKER_HUB, text
    else:
        registry, repository = head, tail
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository
