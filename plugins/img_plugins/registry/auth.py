"""How a registry wants to be convinced: Basic, or a Bearer token from another server (distribution's token spec)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from img.errors import RegistryError, Unauthorized

_PARAMETER = re.compile(r'([a-zA-Z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
MAX_ANSWER = 1 << 20


class Challenge(NamedTuple):
    """One WWW-Authenticate header: its scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Read the header; what is not understood is left out."""
        scheme, _, rest = header.strip().partition(" ")
        found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        return cls(scheme.lower(), found)


def basic(user: str, password: str) -> str:
    """The Authorization header of user and password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def token_url(challenge: Challenge, scope: str, host: str) -> str:
    """Where the token is to be had. Raises `RegistryError` if the challenge does not say."""
    realm = challenge.parameters.get("realm", "")
    if not realm.startswith(("https://", "http://")):
        raise RegistryError(f"{host} asks for a token, but not where to get it ({realm!r})")
    query = {"scope": challenge.parameters.get("scope") or scope}
    if service := challenge.parameters.get("service"):
        query["service"] = service
    return f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"


def read_token(status: int, data: bytes, host: str) -> str:
    """The token in a token server's answer. Raises `Unauthorized`, `RegistryError`."""
    if status in (401, 403):
        raise Unauthorized(f"{host} refused the credentials", hint=f"check the user name and password for {host}")
    try:
        answer: Any = json.loads(data) if status == 200 else None
        token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    except ValueError:
        token = None
    if not isinstance(token, str) or not token:
        raise RegistryError(f"the token server of {host} gave no token (status {status})")
    return token
