"""Credentials from the files that docker and podman write. They are looked up only when a registry asks.

Read: ``$REGISTRY_AUTH_FILE``, ``$XDG_RUNTIME_DIR/containers/auth.json``, ``$DOCKER_CONFIG/config.json`` and
``~/.docker/config.json``, by way of the settings ``auth_file`` (a list separated by ":") that the command line fills in.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

KEYS = ("{}", "https://{}", "http://{}", "https://{}/v1/", "https://{}/v2/")
HUB = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


def from_files(files: str, host: str) -> tuple[str, str] | None:
    """User name and password for `host`, from the first of the files that has them."""
    for name in filter(None, files.split(":")):
        try:
            document: Any = json.loads(Path(name).read_bytes())
            auths = document.get("auths") or {}
            keys = [key.format(host) for key in KEYS] + (list(HUB) if host == "docker.io" else [])
            found = next((auths[key] for key in keys if key in auths), None)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(found, dict) and (pair := _pair(found)):
            return pair
    return None


def _pair(entry: dict[str, Any]) -> tuple[str, str] | None:
    if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
        return entry["username"], entry["password"]
    try:
        user, colon, password = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except ValueError:
        return None
    return (user, password.rstrip("\0")) if colon else None
