"""What a registry has allowed so far: an Authorization header for each scope, made anew when it runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from img.errors import RegistryError
from img_plugins.registry import auth
from img_plugins.registry.auth import Challenge, Scope, Secret, TokenRequest
from img_plugins.registry.hosts.choose import is_loopback
from img_plugins.registry.hosts.model import Endpoint

Credentials = Callable[[str, str], Secret | None]
"""Host and repository → the secret for it, if there is one."""
Fetch = Callable[[TokenRequest], tuple[int, bytes]]
MARGIN = 0.9
"""The share of a token's life after which it is not used any more."""


class Grant(NamedTuple):
    header: str
    until: float
    challenge: Challenge | None
    """What it answered; None: it does not run out."""


class Grants:
    """The grants of one endpoint. Safe from several threads: only one of them asks for a token."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials, fetch: Fetch) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._fetch = fetch
        self._grants: dict[Scope, Grant] = {}
        self._lock = threading.RLock()

    def header(self, scope: Scope) -> str:
        """The header to send, empty if none is known. Raises what asking for a token raises."""
        with self._lock:
            grant = self._grants.get(scope)
            if grant is None:
                return ""
            if grant.challenge is not None and time.monotonic() > grant.until:
                grant = self._grants[scope] = self._token(grant.challenge, scope)
            return grant.header

    def answer(self, challenges: str, scope: Scope, sent: str) -> bool:
        """React to a 401 after the header `sent`. True: there is another header now, so that it is worth asking again.
        Raises `Unauthorized`, `RegistryError`."""
        with self._lock:
            known = self._grants.get(scope)
            if known is not None and known.header != sent:
                return True  # another thread was here first
            found = {challenge.scheme: challenge for challenge in reversed(auth.parse(challenges))}
            if "bearer" in found:
                self._grants[scope] = self._token(found["bearer"], scope)
            elif "basic" in found and (secret := self._secret(scope)) is not None:
                self._grants[scope] = Grant(auth.basic(secret), 0.0, None)
            else:
                return False
            return self._grants[scope].header != sent

    def _secret(self, scope: Scope) -> Secret | None:
        return self._credentials(self._endpoint.host, scope.repository)

    def _token(self, challenge: Challenge, scope: Scope) -> Grant:
        host = self._endpoint.host
        secret = self._secret(scope)
        request = auth.token_request(challenge, scope.texts, secret, host)
        self._check(request.url, secret is not None)
        asked = time.monotonic()
        status, data = self._fetch(request)
        if status in (404, 405) and secret is not None and request.method == "GET":
            status, data = self._fetch(auth.token_request(challenge, scope.texts, secret, host, post=True))
        token = auth.read_token(status, data, host, secret is not None)
        return Grant(f"Bearer {token.text}", asked + token.seconds * MARGIN, challenge)

    def _check(self, url: str, secret: bool) -> None:
        """A password goes to a token server without TLS only where the registry itself does without."""
        parts: Any = urlsplit(url)
        if secret and parts.scheme == "http" and not self._endpoint.insecure and not is_loopback(parts.netloc):
            raise RegistryError(
                f"{self._endpoint.host} wants the password sent to {parts.netloc} in plain HTTP, which is refused",
                hint="its token server must use https",
            )
