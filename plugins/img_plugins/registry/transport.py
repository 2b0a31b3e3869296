"""HTTP to one registry: scheme, credentials, redirects, retries, and every failure as one clear error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

from img.errors import NotFound, RegistryError, Unauthorized
from img_plugins.registry import auth

TRIES = 4
REDIRECTS = 5
CONNECT, READ = 10.0, 60.0
"""Seconds until a connection, and until the next bytes."""

Credentials = Callable[[str], tuple[str, str] | None]

_pool_lock = threading.Lock()
_pool: Any = None


def pool() -> Any:
    """The process's connections; urllib3 is imported when the first is needed."""
    global _pool
    with _pool_lock:
        if _pool is None:
            import urllib3

            timeout = urllib3.Timeout(connect=CONNECT, read=READ)
            _pool = urllib3.PoolManager(num_pools=16, maxsize=8, timeout=timeout, retries=False)
        return _pool


def is_loopback(host: str) -> bool:
    """Whether `host` (with or without a port) is this machine, which is spoken to in plain HTTP."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str | None, int | None]:
    """What credentials belong to: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


class Transport:
    """Requests to one registry host. Safe from several threads. Credentials are asked for only after a 401."""

    def __init__(self, host: str, credentials: Credentials) -> None:
        self.host = host
        self._name = "registry-1.docker.io" if host == "docker.io" else host
        self.base = f"{'http' if is_loopback(host) else 'https'}://{self._name}"
        self._credentials = credentials
        self._headers: dict[str, str] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> Any:
        """One request, repeated where that can help. `body` is called for each try. Statuses from 200 to 299 and
        those in `allowed` are returned as a streaming urllib3 response; the caller reads and releases it.

        Raises `Unauthorized`, `NotFound`, `RegistryError`.
        """
        url = urljoin(self.base, path)
        asked = False
        for attempt in range(TRIES):
            response = self._follow(method, url, scope, headers or {}, body, attempt)
            if response is None:
                continue
            if response.status == 401 and not asked:
                asked = True
                self._authorise(response, scope)
                response = self._follow(method, url, scope, headers or {}, body, TRIES)
            if 200 <= response.status < 300 or response.status in allowed:
                return response
            if attempt + 1 < TRIES and (response.status == 429 or response.status >= 500):
                self._wait(attempt, response.headers.get("Retry-After"))
                response.drain_conn()
                response.release_conn()
                continue
            raise self._refused(response, method, url)
        raise RegistryError(f"{self.host} does not answer", hint="is the registry running?")

    def _follow(self, method: str, url: str, scope: str, headers: Mapping[str, str], body: Any, attempt: int) -> Any:
        """Send and follow redirects; a redirect to another host gets no credentials. None if it should be retried."""
        home = origin(self.base)
        for _ in range(REDIRECTS + 1):
            sent = dict(headers)
            if origin(url) == home and scope in self._headers:
                sent["Authorization"] = self._headers[scope]
            response = self._send(method, url, sent, body, attempt)
            if response is None or response.status not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("Location", "")
            response.drain_conn()
            response.release_conn()
            target = urljoin(url, location)
            if not location or urlsplit(target).scheme not in ("http", "https"):
                raise RegistryError(f"{self.host} redirects to nowhere ({location!r})")
            if home[0] == "https" and urlsplit(target).scheme == "http":
                raise RegistryError(f"{self.host} redirects to plain HTTP, which is refused ({target})")
            url = target
        raise RegistryError(f"{self.host} redirects more than {REDIRECTS} times")

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Any, attempt: int) -> Any:
        import urllib3

        try:
            data = body() if body is not None else None
            return pool().request(
                method, url, headers=headers, body=data, preload_content=False, redirect=False, decode_content=False
            )
        except urllib3.exceptions.HTTPError as error:
            if attempt + 1 < TRIES and not isinstance(error, urllib3.exceptions.NewConnectionError):
                self._wait(attempt, None)
                return None
            raise unreachable(self.host, error) from error

    def _wait(self, attempt: int, after: str | None) -> None:
        seconds = 0.2 * 3**attempt
        if after and after.isdigit():
            seconds = min(float(after), 60.0)
        time.sleep(seconds)

    # --- credentials -------------------------------------------------------------------------------------------

    def _authorise(self, response: Any, scope: str) -> None:
        """Answer a 401: remember the header that will be sent from now on."""
        challenge = auth.Challenge.parse(response.headers.get("WWW-Authenticate", ""))
        response.drain_conn()
        response.release_conn()
        with self._lock:
            known = self._credentials(self.host)
            if challenge.scheme == "basic" and known is not None:
                self._headers[scope] = auth.basic(*known)
            elif challenge.scheme == "bearer":
                url = auth.token_url(challenge, scope, self.host)
                self._headers[scope] = "Bearer " + self._token(url, known)

    def _token(self, url: str, known: tuple[str, str] | None) -> str:
        headers = {"Authorization": auth.basic(*known)} if known is not None else {}
        response = self._send("GET", url, headers, None, TRIES)
        data = response.read(auth.MAX_ANSWER)
        response.release_conn()
        return auth.read_token(response.status, data, self.host)

    def _refused(self, response: Any, method: str, url: str) -> RegistryError:
        """A status that is no success, as an error with the registry's own words."""
        words = _words(response.read(4096))
        response.release_conn()
        place = f"{self.host}{urlsplit(url).path}"
        if response.status in (401, 403):
            return Unauthorized(
                f"{self.host} does not allow this: {words or 'authentication required'}",
                hint=f"log in to {self.host}, or check that the name is right and you may use it",
            )
        if response.status == 404:
            return NotFound(f"{place} is not there{f': {words}' if words else ''}", hint="check the name and the tag")
        return RegistryError(f"{place} answered {response.status} to {method}{f': {words}' if words else ''}")


def _words(data: bytes) -> str:
    """The message of an error document (distribution-spec, "Error Codes"), without control characters."""
    import json

    try:
        errors = json.loads(data)["errors"]
        text = "; ".join(str(error.get("message") or error.get("code")) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "".join(character for character in text if character.isprintable())[:300]


def unreachable(host: str, error: Exception) -> RegistryError:
    """A transport failure in one sentence."""
    text = str(getattr(error, "reason", None) or error).rpartition(": ")[2]
    hint = "check the name, the network, and whether it speaks HTTPS" if not is_loopback(host) else "is it running?"
    return RegistryError(f"can't reach the registry {host}: {text}", hint=hint)
