"""Endpoints, the rules that lead to them, and what makes a TLS connection trusted. All immutable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

HTTP, HTTPS = "http", "https"


class Fallback(StrEnum):
    """When the next endpoint is asked after one that failed. A 403 never leads to the next."""

    NEVER = "never"
    """The first endpoint's answer stands."""
    ON_404 = "on-404"
    """Only if the endpoint says that it has no such thing."""
    ON_ERROR = "on-error"
    """Also if it can't be reached, fails, wants other credentials, or sends bytes that are wrong."""


class Pull(StrEnum):
    """What a mirror is asked for (containers' ``pull-from-mirror``)."""

    ALL = "all"
    DIGEST = "digest-only"
    TAG = "tag-only"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a TLS connection rests on: the system's authorities and `ca` (PEM files); our own certificate, if any."""

    ca: tuple[str, ...] = ()
    cert: str = ""
    key: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Location:
    """A host with the start of a repository path behind it: ``HOST[:PORT][/PATH]``."""

    host: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Location:
        host, _, path = text.rstrip("/").partition("/")
        return cls(host, path)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A place that has what a prefix has. `insecure`: TLS that nobody vouches for, or none."""

    location: Location
    insecure: bool = False
    pull: Pull = Pull.ALL


@dataclass(frozen=True, slots=True)
class Rule:
    """What a configuration file says of the names below `prefix` (``HOST[:PORT][/PATH]`` or ``*.DOMAIN[/PATH]``)."""

    prefix: str
    location: str = ""
    """Where they really are; empty: where they say."""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    fallback: Fallback = Fallback.ON_ERROR
    file: str = ""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What our ``registries.toml`` says of one ``HOST[:PORT]``. None: it says nothing of that."""

    insecure: bool | None = None
    plain_http: bool | None = None
    ca: tuple[str, ...] = ()
    cert: str = ""
    key: str = ""
    proxy: str | None = None
    """A proxy's URL; empty: none, whatever the environment says."""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server that may be asked, and what for."""

    host: str
    """``HOST[:PORT]`` as it stands in names and in credential files."""
    repository: str
    """The repository's path there."""
    schemes: tuple[str, ...] = (HTTPS,)
    """In the order they are tried. More than one: the server is asked which it speaks before anything else is sent."""
    trust: Trust = field(default_factory=Trust)
    proxy: str | None = None
    """See `HostSettings.proxy`."""
    mirror: bool = False
    fallback: Fallback = Fallback.NEVER
    """When the next endpoint of the list may be asked."""
    file: str = ""
    """The configuration file that led here; empty: the name itself."""

    @property
    def address(self) -> str:
        """``HOST[:PORT]`` that connections go to: Docker Hub's is not the one in its names."""
        return "registry-1.docker.io" if self.host == "docker.io" else self.host

    @property
    def scheme(self) -> str:
        return self.schemes[0]

    @property
    def insecure(self) -> bool:
        return not self.trust.verify or HTTP in self.schemes


def unguarded(endpoint: Endpoint) -> Endpoint:
    """The same server, where plain HTTP or any certificate will do: what ``registry.insecure=true`` means."""
    schemes = endpoint.schemes if HTTP in endpoint.schemes else (*endpoint.schemes, HTTP)
    return replace(endpoint, schemes=schemes, trust=replace(endpoint.trust, verify=False))
