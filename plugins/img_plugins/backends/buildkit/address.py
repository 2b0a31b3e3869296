"""Where a BuildKit is: the setting ``buildkit_address``, else ``BUILDKIT_HOST``, as buildctl and buildx write it.

unix:///run/buildkit/buildkitd.sock     a socket of buildkitd
tcp://host:1234                         over TCP, with TLS if the settings name certificates
docker://                               the one inside dockerd, where DOCKER_HOST says
docker:///var/run/docker.sock           the one inside the dockerd of that socket
docker-container://NAME                 a buildkitd in a container, through ``docker exec``
kube-pod://POD?namespace=N&container=C  a buildkitd in a pod, through ``kubectl exec``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from img.errors import UsageError

KINDS = ("unix", "tcp", "docker", "docker-container", "kube-pod")
DOCKER = "unix:///var/run/docker.sock"
"""Where dockerd listens unless it is told otherwise."""
_HINT = "e.g. unix:///run/buildkit/buildkitd.sock, tcp://HOST:1234, docker://, docker-container://NAME, kube-pod://POD"


class Tls(NamedTuple):
    """Paths of PEM files; empty for none."""

    authority: str = ""
    certificate: str = ""
    key: str = ""
    name: str = ""
    """The name that the server's certificate has, if it is not the address's."""

    def __bool__(self) -> bool:
        return any(self[:3])


class Address(NamedTuple):
    """`target` is a path, HOST:PORT, or a container's or pod's name. For dockerd, `kind` is how to reach its API."""

    text: str
    kind: str
    target: str
    docker: bool = False
    """Whether it is dockerd, whose BuildKit is behind upgrades of HTTP requests."""
    options: Mapping[str, str] = {}
    tls: Tls = Tls()


def address_of(settings: Mapping[str, str]) -> Address | None:
    """The address that the settings name; None if they name none. Raises `UsageError`."""
    text = settings.get("buildkit_address") or settings.get("buildkit_host") or ""
    if not text:
        return None
    tls = Tls(*(settings.get(f"buildkit_tls_{name}", "") for name in ("ca", "cert", "key", "name")))
    found = parse(text, settings.get("docker_host", ""))
    if not tls:
        if tls.name:
            raise UsageError("buildkit_tls_name without certificates has no effect", hint="set buildkit_tls_ca too")
        return found
    if found.kind != "tcp":
        raise UsageError(f"{text} takes no certificates: they are for tcp://", hint="unset the settings buildkit_tls_*")
    if bool(tls.certificate) != bool(tls.key):
        raise UsageError("a client's certificate needs its key", hint="set both buildkit_tls_cert and buildkit_tls_key")
    return found._replace(tls=tls)


def parse(text: str, docker_host: str = "") -> Address:
    """Raises `UsageError` for what is no address."""
    parts, port = _split(text)
    if parts.scheme not in KINDS:
        raise UsageError(f"{text!r} is not the address of a BuildKit", hint=_HINT)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme == "docker":
        return _docker(text, parts.netloc, unquote(parts.path), docker_host)
    if parts.scheme == "unix":
        return Address(text, "unix", _path(text, parts.netloc, unquote(parts.path)))
    if parts.scheme == "tcp":
        if port is None or parts.path.strip("/"):
            raise UsageError(f"{text!r} needs a host and a port", hint="tcp://HOST:PORT")
        return Address(text, "tcp", parts.netloc)
    if not parts.netloc or parts.netloc.startswith("-"):
        raise UsageError(f"{text!r} names nothing", hint=_HINT)
    known = ("context",) if parts.scheme == "docker-container" else ("context", "namespace", "container")
    if unknown := [name for name in options if name not in known or options[name].startswith("-")]:
        raise UsageError(f"{text!r}: {unknown[0]} can't be understood", hint=f"known: {', '.join(known)}")
    return Address(text, parts.scheme, parts.netloc, options=options)


def _split(text: str) -> tuple[SplitResult, int | None]:
    """The parts of an address, and its port. Raises `UsageError`."""
    try:
        parts = urlsplit(text)
        return parts, parts.port if parts.scheme == "tcp" else None
    except ValueError as error:
        raise UsageError(f"{text!r} is not an address: {error}", hint=_HINT) from error


def _path(text: str, host: str, path: str) -> str:
    if host or not path:
        raise UsageError(f"{text!r} needs the whole path of a socket", hint="three slashes: unix:///run/…")
    return path


def _docker(text: str, host: str, path: str, docker_host: str) -> Address:
    if host:
        raise UsageError(f"{text!r} is not an address of dockerd", hint="docker:// or docker:///path/of/docker.sock")
    if path:
        return Address(text, "unix", path, docker=True)
    inner, port = _split(docker_host or DOCKER)
    if inner.scheme == "unix":
        return Address(text, "unix", inner.path, docker=True)
    if inner.scheme == "tcp" and port:
        return Address(text, "tcp", inner.netloc, docker=True)
    raise UsageError(f"DOCKER_HOST={docker_host} can't be used", hint="unix:///path or tcp://HOST:PORT")
