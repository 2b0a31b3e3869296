"""Credential helpers: programs ``docker-credential-NAME`` that keep secrets (docker-credential-helpers' protocol: a verb
as argument, JSON or a server's name on standard input)."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from img_plugins.registry.auth import Secret

TIMEOUT = 60
"""Seconds: a helper may ask the user, or a cloud."""
_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")


class HelperError(Exception):
    """A helper is missing, or does not work. The message never holds what it was given or has said on success."""


def get(name: str, server: str) -> Secret | None:
    """What the helper has for `server`; None if nothing. Raises `HelperError`."""
    status, out = _run(name, "get", server)
    if status != 0:
        if "credentials not found" in out.lower() or "no credentials" in out.lower():
            return None
        raise HelperError(f"docker-credential-{name} failed with exit code {status}")
    try:
        answer: Any = json.loads(out)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        raise HelperError(f"docker-credential-{name} did not answer in its protocol") from None
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        return None
    return Secret(user, secret)


def store(name: str, server: str, secret: Secret) -> None:
    """Hand a secret to the helper. Raises `HelperError`."""
    document = {"ServerURL": server, "Username": secret.user, "Secret": secret.password}
    status, _ = _run(name, "store", json.dumps(document))
    if status != 0:
        raise HelperError(f"docker-credential-{name} did not take it (exit code {status})")


def erase(name: str, server: str) -> None:
    """Let the helper forget a server. Raises `HelperError`."""
    status, out = _run(name, "erase", server)
    if status != 0 and "not found" not in out.lower():
        raise HelperError(f"docker-credential-{name} did not forget it (exit code {status})")


def _run(name: str, verb: str, text: str) -> tuple[int, str]:
    if not _NAME.match(name):
        raise HelperError(f"{name[:40]!r} is not the name of a credential helper")
    try:
        done = subprocess.run(
            [f"docker-credential-{name}", verb],
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise HelperError(f"docker-credential-{name} is not installed") from None
    except subprocess.TimeoutExpired:
        raise HelperError(f"docker-credential-{name} did not answer within {TIMEOUT} seconds") from None
    except OSError as error:
        raise HelperError(f"docker-credential-{name} can't be run: {error.strerror}") from None
    return done.returncode, done.stdout.decode(errors="replace")
