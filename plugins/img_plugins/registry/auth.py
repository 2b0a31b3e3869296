"""How a registry wants to be convinced: Basic, or a Bearer token from another server (distribution's token and oauth
specifications). Pure: what is sent and what is read, not how."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from img.errors import RegistryError, Unauthorized

_WORD = re.compile(r'[\s,]*([A-Za-z0-9_.-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?')
MAX_ANSWER = 1 << 20
IDENTITY = "<token>"
"""In place of a user name: the password is an identity (OAuth2 refresh) token."""
CLIENT_ID = "img"
SHORTEST = 60
"""Seconds that a token lasts if its server does not say (token specification)."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A user name and a password, or `IDENTITY` and an identity token. Never shown."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Secret(…)"


class Scope(NamedTuple):
    """What a request needs to be allowed: actions in a repository, and pulling from another for a mount."""

    repository: str = ""
    actions: str = "pull"
    mount: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """As token servers are asked for it."""
        found = (f"repository:{self.repository}:{self.actions}",) if self.repository else ()
        return (*found, f"repository:{self.mount}:pull") if self.mount else found


class Challenge(NamedTuple):
    """One challenge of a WWW-Authenticate header: its scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


class Token(NamedTuple):
    """A token and how many seconds it lasts."""

    text: str
    seconds: float


class TokenRequest(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def parse(header: str) -> list[Challenge]:
    """The challenges of a header, or of several joined by commas; what is not understood is left out."""
    found: list[tuple[str, dict[str, str]]] = []
    for match in _WORD.finditer(header):
        name, quoted, plain = match.groups()
        if quoted is None and plain is None:
            found.append((name.lower(), {}))
        elif found:
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            found[-1][1].setdefault(name.lower(), value)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def insufficient(header: str) -> bool:
    """Whether a challenge says that the token was fine, and does not allow this (RFC 6750, 3.1)."""
    return any(challenge.parameters.get("error") == "insufficient_scope" for challenge in parse(header))


def basic(secret: Secret) -> str:
    """The Authorization header of user and password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{secret.user}:{secret.password}".encode()).decode("ascii")


def token_request(
    challenge: Challenge, scopes: Sequence[str], secret: Secret | None, host: str, post: bool = False
) -> TokenRequest:
    """What to ask the token server: a GET with Basic, or a POST (OAuth2) with an identity token or, if `post`, with
    user and password. Raises `RegistryError` if the challenge does not say where."""
    realm = challenge.parameters.get("realm", "")
    if not realm.startswith(("https://", "http://")):
        raise RegistryError(f"{host} asks for a token, but not where to get it ({realm[:80]!r})")
    asked = challenge.parameters.get("scope", "").split()
    wanted = list(dict.fromkeys([*scopes, *asked]))
    service = challenge.parameters.get("service", "")
    if secret is not None and (post or secret.user == IDENTITY):
        fields = {"service": service, "client_id": CLIENT_ID, "scope": " ".join(wanted)}
        if secret.user == IDENTITY:
            fields |= {"grant_type": "refresh_token", "refresh_token": secret.password}
        else:
            fields |= {"grant_type": "password", "username": secret.user, "password": secret.password}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return TokenRequest("POST", realm, headers, urlencode(fields).encode())
    query = [("scope", scope) for scope in wanted]
    if service:
        query.append(("service", service))
    headers = {"Authorization": basic(secret)} if secret is not None else {}
    url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}" if query else realm
    return TokenRequest("GET", url, headers, None)


def read_token(status: int, data: bytes, host: str, known: bool = True) -> Token:
    """The token in a token server's answer; `known` says whether there were credentials. Raises `Unauthorized`,
    `RegistryError`."""
    if status in (400, 401, 403):
        if not known:
            raise Unauthorized(f"{host} gives nothing to strangers", hint=f"img login {host}")
        raise Unauthorized(
            f"{host} refused the credentials", hint=f"check the user name and password: img login {host}"
        )
    try:
        answer: Any = json.loads(data) if status == 200 else None
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    token, lasts = answer.get("token") or answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise RegistryError(f"the token server of {host} gave no token (status {status})")
    return Token(token, lasts if isinstance(lasts, int | float) and lasts > 0 else SHORTEST)
