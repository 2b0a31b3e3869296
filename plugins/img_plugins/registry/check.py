"""`img registry check`, and the trial of a secret before it is kept: what is used to speak to a registry, and where it
fails. Nothing here shows a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from img.errors import ImgError, NotFound, RegistryError, Unauthorized
from img.oci.reference import DOCKER_HUB, Reference
from img.ports import Report
from img_plugins.registry import auth
from img_plugins.registry.auth import Scope, Secret
from img_plugins.registry.hosts.model import Endpoint, Location
from img_plugins.registry.keep import server_of
from img_plugins.registry.network import Failure, Network, unreachable
from img_plugins.registry.proxies import proxy_for, shown
from img_plugins.registry.reader import falls
from img_plugins.registry.transport import Transport, drop

if TYPE_CHECKING:
    from img_plugins.registry.access import Registries


def try_secret(endpoint: Endpoint, secret: Secret, network: Network) -> None:
    """See whether a registry takes `secret`. Raises `Unauthorized` if not, `RegistryError`."""
    transport = Transport(endpoint, lambda host, repository: secret, network)
    try:
        challenge = _challenge(transport)
    except Failure as failure:
        raise unreachable(failure) from failure.cause
    if not challenge:
        return  # it lets everybody in: there is nothing to be verified
    scope = Scope(endpoint.repository) if endpoint.repository else Scope()
    try:
        drop(transport.request("GET", "/v2/", scope=scope, allowed=(404,)))
    except Unauthorized as error:
        raise Unauthorized(
            f"{endpoint.host} refused the credentials", hint="check the user name and password; some want a token"
        ) from error


def _challenge(transport: Transport) -> str:
    """What ``/v2/`` asks for, empty if nothing. Raises `Failure`."""
    response = transport.send("GET", f"{transport.base}/v2/", {})
    drop(response)
    return response.headers.get("WWW-Authenticate", "") if response.status == 401 else ""


class Check:
    """One check. The lines of the report are (label, text)."""

    def __init__(self, registries: Registries, settings: Mapping[str, str]) -> None:
        self._registries = registries
        self._settings = settings
        self._lines: list[tuple[str, str]] = []
        self._document: dict[str, Any] = {}

    def report(self, name: str) -> Report:
        """Status 1 if a pull would come to no endpoint that works."""
        reference = _reference(name)
        hosts = self._registries.hosts
        self._say("configuration", ", ".join(hosts.files) or "no file")
        self._document = {"name": name, "files": list(hosts.files), "endpoints": []}
        try:
            endpoints = hosts.endpoints(reference)
        except ImgError as error:
            self._say("refused", f"{error.message} ({error.hint})")
            return self._made(1)
        problems = [self._endpoint(endpoint, number) for number, endpoint in enumerate(endpoints, 1)]
        pushed = hosts.endpoint(reference)
        if pushed.host != endpoints[-1].host:
            self._say("pushes", f"go to {pushed.host}")
        return self._made(_status(endpoints, problems))

    def _endpoint(self, endpoint: Endpoint, number: int) -> ImgError | None:
        what = "mirror" if endpoint.mirror else "registry"
        place = str(Location(endpoint.host, endpoint.repository))
        self._say(f"{number}. {what}", place + (f" (from {endpoint.file})" if endpoint.file else ""))
        if endpoint.mirror:
            self._say("  fallback", str(endpoint.fallback))
        self._say("  scheme", ", then ".join(endpoint.schemes))
        trust = endpoint.trust
        trusted = "the system's" + "".join(f", {name}" for name in trust.ca) if trust.verify else "anyone: insecure"
        self._say("  authorities", trusted)
        if trust.cert:
            self._say("  certificate", trust.cert)
        proxy = proxy_for(f"{endpoint.scheme}://{endpoint.address}/", self._settings, endpoint.proxy)
        self._say("  proxy", shown(proxy) or "none")
        secret, source = self._registries.credentials.find(endpoint.host, endpoint.repository)
        self._say("  credentials", f"user {secret.user!r} from {source}" if secret else f"none: {source}")
        problem = self._ping(endpoint)
        self._document["endpoints"].append(
            {
                "host": endpoint.host,
                "repository": endpoint.repository,
                "mirror": endpoint.mirror,
                "schemes": list(endpoint.schemes),
                "credentials": source if secret else "",
                "ok": problem is None,
                "problem": problem.message if problem else "",
                "remedy": problem.hint if problem else "",
            }
        )
        if problem is not None:
            self._say("  fails", problem.message)
            if problem.hint:
                self._say("  remedy", problem.hint)
        return problem

    def _ping(self, endpoint: Endpoint) -> ImgError | None:
        """Try the protocol, the challenge, and the repository if there is one."""
        network = Network(self._settings, patience=self._registries.network.patience._replace(tries=2))
        transport = Transport(endpoint, self._registries.credentials, network)
        try:
            challenge = _challenge(transport)
            self._say("  ping", f"{transport.base}/v2/ answers")
            asked = [f"{c.scheme} {c.parameters.get('realm', '')}".strip() for c in auth.parse(challenge)]
            self._say("  asks for", ", ".join(asked) or "no credentials")
            scope = Scope(endpoint.repository)
            path = f"/v2/{endpoint.repository}/tags/list?n=1" if endpoint.repository else "/v2/"
            drop(transport.request("GET", path, scope=scope))
        except NotFound as error:
            return NotFound(f"it has no repository {endpoint.repository}", hint=error.hint)
        except ImgError as error:
            return error
        except Failure as failure:
            return unreachable(failure)
        finally:
            network.close()
        self._say("  works", "yes")
        return None

    def _say(self, label: str, text: str) -> None:
        self._lines.append((label, text))

    def _made(self, status: int) -> Report:
        width = max(len(label) for label, _ in self._lines)
        text = "\n".join(f"{label.ljust(width)}  {words}" for label, words in self._lines)
        return Report(text, {**self._document, "ok": status == 0}, status)


def _status(endpoints: Sequence[Endpoint], problems: Sequence[ImgError | None]) -> int:
    """0 if a pull would come to an endpoint that works, 1 if not."""
    for endpoint, problem in zip(endpoints, problems, strict=True):
        if problem is None:
            return 0
        if not falls(endpoint, problem):
            break
    return 1


def _reference(name: str) -> Reference:
    """A host alone, or a whole image name; a word without a dot, a port or a slash is an image of Docker Hub."""
    host, path = server_of(name)
    bare = "/" not in name.partition("://")[2] if "://" in name else "/" not in name
    if bare and ("." in host or ":" in host or host == "localhost" or host == DOCKER_HUB):
        return Reference(host, "")
    if not path and host == DOCKER_HUB:
        return Reference(DOCKER_HUB, "")
    reference = Reference.parse(name.partition("://")[2] or name)
    if not reference.repository:
        raise RegistryError(f"{name} names no registry")
    return reference
