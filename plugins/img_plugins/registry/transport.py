"""HTTP to one registry endpoint: scheme, credentials, redirects, retries, and every failure as one clear error."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from img.errors import Forbidden, NotFound, RegistryError, Unauthorized
from img_plugins.registry import auth
from img_plugins.registry.auth import Scope, TokenRequest
from img_plugins.registry.grants import Credentials, Grants
from img_plugins.registry.hosts.model import Endpoint
from img_plugins.registry.network import READ, Failure, Network, unreachable

REDIRECTS = 5
REFRESHES = 4
"""How often one request may be answered 401 and sent again with another header: tokens end in the middle."""
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others a moment later."""
REGISTRY = frozenset({200, 401, 403, 429, 500, 502, 503, 504})
"""Statuses of ``/v2/`` that show that the right protocol is spoken."""
GATEWAY = {"https": 443, "http": 80}

Body = Callable[[], Any]


class Busy(RegistryError):
    """The registry can't do it now. `after` is its ``Retry-After``."""

    after: str | None = None


class TooLarge(RegistryError):
    """The registry, or a proxy before it, takes no body of that size (413)."""


class _Sent(NamedTuple):
    response: Any
    header: str
    """The Authorization header of the last hop."""
    home: bool
    """Whether the registry itself answered, not a server it pointed to."""


def origin(url: str) -> tuple[str, str | None, int | None]:
    """What credentials belong to: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or GATEWAY.get(parts.scheme)


class Transport:
    """Requests to one endpoint. Safe from several threads. Credentials are asked for only after a 401, and go to no
    other server than this one and the token server it names."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials, network: Network) -> None:
        self.endpoint = endpoint
        self.host = endpoint.host
        self.network = network
        self._grants = Grants(endpoint, credentials, self._fetch_token)
        self._base = "" if len(endpoint.schemes) > 1 else f"{endpoint.scheme}://{endpoint.address}"
        self._lock = threading.Lock()
        self._answered = False

    @property
    def base(self) -> str:
        """``SCHEME://HOST[:PORT]``; found out by asking if the endpoint may speak either. Raises `RegistryError`."""
        with self._lock:
            if not self._base:
                self._base = self._find_base()
            return self._base

    def request(
        self,
        method: str,
        path: str,
        *,
        scope: Scope,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        allowed: tuple[int, ...] = (),
        tries: int = 0,
        read_timeout: float = READ,
    ) -> Any:
        """One request, repeated where that can help (`tries` times at most; 0: as the network has it). `body` is called
        for each try. Statuses from 200 to 299 and those in `allowed` are returned as a streaming urllib3 response; the
        caller reads and releases it.

        Raises `Unauthorized`, `Forbidden`, `NotFound`, `RegistryError`.
        """
        url = urljoin(self.base, path)
        most = tries or self.network.patience.tries
        attempt, refreshed = 0, 0
        while True:
            last = attempt + 1 >= most
            try:
                sent = self._follow(method, url, scope, headers or {}, body, read_timeout)
            except Failure as failure:
                if last or (failure.refused and not self._answered):
                    raise unreachable(failure) from failure.cause
                self.network.wait(attempt)
                attempt += 1
                continue
            self._answered = True
            response, status = sent.response, sent.response.status
            if 200 <= status < 300 or status in allowed:
                return response
            if status == 401 and sent.home and refreshed < REFRESHES:
                refreshed += 1
                self._authorise(sent, scope, refreshed, method, url)
                continue
            if last or not (status in BUSY or not sent.home):
                raise self.refused(response, method, url)
            after = response.headers.get("Retry-After")
            drop(response)
            self.network.wait(attempt, after)
            attempt += 1

    def _authorise(self, sent: _Sent, scope: Scope, times: int, method: str, url: str) -> None:
        """Find another header after a 401, the request's `times`th. Raises `Unauthorized` if there is none."""
        challenge, data = sent.response.headers.get("WWW-Authenticate", ""), read_some(sent.response)
        enough = times > 1 and auth.insufficient(challenge)
        if enough or not self._grants.answer(challenge, scope, sent.header):
            raise self.refused(sent.response, method, url, data)

    def _follow(
        self, method: str, url: str, scope: Scope, headers: Mapping[str, str], body: Body | None, timeout: float
    ) -> _Sent:
        """Send, and follow redirects; a redirect to another origin gets no credentials. Raises `Failure`."""
        home = origin(self.base)
        for _ in range(REDIRECTS + 1):
            sent, header = dict(headers), ""
            if origin(url) == home and (header := self._grants.header(scope)):
                sent["Authorization"] = header
            response = self.send(method, url, sent, body() if body is not None else None, timeout)
            if response.status not in (301, 302, 303, 307, 308):
                return _Sent(response, header, origin(url) == home)
            location = response.headers.get("Location", "")
            drop(response)
            target = urljoin(url, location)
            if not location or urlsplit(target).scheme not in GATEWAY:
                raise RegistryError(f"{self.host} redirects to nowhere ({location.partition('?')[0][:200]!r})")
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
                place = urlsplit(target).netloc.rpartition("@")[2]
                raise RegistryError(f"{self.host} redirects to plain HTTP ({place}), which is refused")
            if response.status == 303:
                method, body = "GET" if method != "HEAD" else method, None
            url = target
        raise RegistryError(f"{self.host} redirects more than {REDIRECTS} times")

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Any = None, timeout: float = READ) -> Any:
        """One request with this endpoint's transport settings, whatever host it goes to. Raises `Failure`."""
        trust, proxy = self.endpoint.trust, self.endpoint.proxy
        return self.network.send(method, url, headers, body, trust=trust, proxy=proxy, read_timeout=timeout)

    def _find_base(self) -> str:
        """The first of the endpoint's schemes that a registry answers to."""
        failure: Failure | None = None
        patience = self.network.patience.tries
        for attempt in range(patience):
            for scheme in self.endpoint.schemes:
                base = f"{scheme}://{self.endpoint.address}"
                try:
                    response = self.send("GET", f"{base}/v2/", {}, timeout=15.0)
                except Failure as error:
                    failure = error if failure is None or not error.refused else failure
                    continue
                drop(response)
                if response.status in REGISTRY:
                    return base
            if failure is None or failure.refused:
                break
            if attempt + 1 < patience:
                self.network.wait(attempt)
        if failure is None:
            raise RegistryError(f"{self.host} is not a registry: it does not know /v2/", hint="check the host's name")
        raise unreachable(failure) from failure.cause

    # --- credentials -------------------------------------------------------------------------------------------

    def _fetch_token(self, request: TokenRequest) -> tuple[int, bytes]:
        """Ask a token server, again while it is busy; redirects are not followed."""
        most = self.network.patience.tries
        for attempt in range(most):
            try:
                response = self.send(request.method, request.url, request.headers, request.body)
                data = response.read(auth.MAX_ANSWER)
            except Exception as error:
                failure = error if isinstance(error, Failure) else broken(self.host, error)
                if failure is None:
                    raise
                if attempt + 1 == most or failure.refused:
                    raise unreachable(failure) from failure.cause
                self.network.wait(attempt)
                continue
            response.close()
            if response.status not in BUSY or attempt + 1 == most:
                return response.status, data
            self.network.wait(attempt, response.headers.get("Retry-After"))
        raise AssertionError("unreachable")

    def refused(self, response: Any, method: str, url: str, data: bytes | None = None) -> RegistryError:
        """A status that is no success, as an error with the registry's own words."""
        words = error_words(read_some(response) if data is None else data)
        status, place = response.status, f"{self.host}{urlsplit(url).path}"
        if status == 401:
            return Unauthorized(
                f"{self.host} does not allow this: {words or 'authentication required'}",
                hint=f"img login {self.host}, or check that the name is right and you may use it",
            )
        if status == 403:
            return Forbidden(
                f"{self.host} does not allow this: {words or 'forbidden'}",
                hint="check that the name is right and that you may use it",
            )
        if status == 404:
            return NotFound(f"{place} is not there{f': {words}' if words else ''}", hint="check the name and the tag")
        hint = "it limits how often it may be asked: log in, or try later" if status == 429 else ""
        message = f"{place} answered {status} to {method}{f': {words}' if words else ''}"
        if status == 413:
            return TooLarge(message, hint="a proxy before the registry limits the size of uploads")
        if status not in BUSY:
            return RegistryError(message, hint=hint)
        busy = Busy(message, hint=hint)
        busy.after = response.headers.get("Retry-After")
        return busy


def drop(response: Any) -> None:
    """Be done with a response: keep its connection if little is left to read, else close it."""
    try:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) <= 1 << 16:
            response.drain_conn()
            response.release_conn()
            return
    except Exception as error:  # a connection that broke is closed below, whatever broke it
        if broken("", error) is None:
            raise
    response.close()
    response.release_conn()


def read_some(response: Any, limit: int = 1 << 16) -> bytes:
    """The first bytes of a response, which is closed then; as many as came before it broke."""
    try:
        data: bytes = response.read(limit)
    except Exception as error:
        if broken("", error) is None:
            raise
        data = b""
    response.close()
    response.release_conn()
    return data


def broken(host: str, error: Exception) -> Failure | None:
    """The failure that an exception while reading a response stands for; None if it is something else."""
    import urllib3

    return Failure(host, error, False) if isinstance(error, urllib3.exceptions.HTTPError | OSError) else None


def error_codes(data: bytes) -> set[str]:
    """The codes of an error document (distribution-spec, "Error Codes")."""
    return {str(error.get("code")) for error in _errors(data)}


def error_words(data: bytes) -> str:
    """The messages of an error document, without control characters."""
    text = "; ".join(str(error.get("message") or error.get("code") or "") for error in _errors(data))
    return "".join(character for character in text if character.isprintable())[:300]


def _errors(data: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return []
    errors = document.get("errors") if isinstance(document, dict) else None
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
