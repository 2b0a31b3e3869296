"""Credentials that docker and podman keep: where they are looked up, and only when a registry asks.

Read in this order: the ``img_credentials`` hook; then each file (setting ``auth_file``, separated by ":"), of which for
each one ``credHelpers``, ``credsStore`` and ``auths`` count, in this order as for docker. ``auths`` may be keyed by
``HOST/PATH`` (containers-auth.json(5)): the longest that the repository lies under is taken. A helper is the program
``docker-credential-NAME``. A file or helper that can't be used is passed over with a warning. What is found goes to the
host it was kept for, and is never shown.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from img.events import Warning
from img.ports import Host
from img_plugins.registry import helpers
from img_plugins.registry.auth import IDENTITY, Secret

HUB = "https://index.docker.io/v1/"
"""What Docker Hub is called in docker's files and by its helpers."""
_HUB_KEYS = (HUB, "https://index.docker.io/v2/", "index.docker.io", "registry-1.docker.io", "docker.io")
_KEYS = ("{}", "https://{}", "http://{}", "https://{}/", "http://{}/", "https://{}/v1/", "https://{}/v2/")


def helper_key(host: str) -> str:
    """What a helper calls `host`."""
    return HUB if host == "docker.io" else host


def host_keys(host: str) -> tuple[str, ...]:
    """Every key under which files may have `host` as a whole."""
    return (*(_HUB_KEYS if host == "docker.io" else ()), *(key.format(host) for key in _KEYS))


def keys(host: str, repository: str) -> Iterator[str]:
    """The keys of ``auths`` that serve a repository, the closest first."""
    parts = repository.split("/") if repository else []
    for length in range(len(parts), 0, -1):
        yield f"{host}/{'/'.join(parts[:length])}"
    yield from host_keys(host)


class Credentials:
    """Credentials by host and repository; each is looked up once. Safe from several threads."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._found: dict[tuple[str, str], tuple[Secret | None, str]] = {}
        self._told: set[str] = set()
        self._lock = threading.RLock()

    def __call__(self, host: str, repository: str = "") -> Secret | None:
        return self.find(host, repository)[0]

    def find(self, host: str, repository: str = "") -> tuple[Secret | None, str]:
        """The secret for a repository, and in words where it is kept or why there is none."""
        with self._lock:
            if (host, repository) not in self._found:
                self._found[host, repository] = self._look(host, repository)
            return self._found[host, repository]

    def _look(self, host: str, repository: str) -> tuple[Secret | None, str]:
        hook = self._host.credentials(host, repository)
        if hook is not None:
            return Secret(*hook), "a plugin (img_credentials)"
        files = self._host.settings.get("auth_file", "").split(":")
        secret, words, trouble = from_files(files, host, repository)
        for one in trouble:
            if one not in self._told:
                self._told.add(one)
                self._host.emit(Warning(f"credentials are looked for without {one}", None, time.monotonic()))
        return secret, words


class FromFiles(NamedTuple):
    """What files say: a secret, if there is one; in words where it is kept, or why there is none; and each file or helper
    that should have been asked and can't be."""

    secret: Secret | None
    words: str
    trouble: tuple[str, ...] = ()


def from_files(files: Sequence[str], host: str, repository: str = "") -> FromFiles:
    """The secret from the first file that has one. What does not work is passed over."""
    trouble: list[str] = []
    for name in filter(None, files):
        document = read(Path(name))
        if isinstance(document, str):
            trouble.append(f"{name}: {document}")
            continue
        for helper in _helpers(document, host):
            try:
                found = helpers.get(helper, helper_key(host))
            except helpers.HelperError as error:
                trouble.append(f"{name}: {error}")
                continue
            if found is not None:
                return FromFiles(found, f"docker-credential-{helper}, which {name} names", tuple(trouble))
        auths = document.get("auths")
        if isinstance(auths, dict):
            for key in keys(host, repository):
                if key in auths and (secret := pair(auths[key])) is not None:
                    return FromFiles(secret, f"{name}, under {key}", tuple(trouble))
    return FromFiles(None, "; ".join(trouble) or "no file and no helper has any", tuple(trouble))


def _helpers(document: Mapping[str, Any], host: str) -> Iterator[str]:
    """The helpers that a file names for a host: its own, and the one for all."""
    own = document.get("credHelpers")
    if isinstance(own, dict):
        for key in host_keys(host):
            if isinstance(own.get(key), str):
                yield own[key]
                return
    if isinstance(document.get("credsStore"), str) and document["credsStore"]:
        yield document["credsStore"]


def read(path: Path) -> dict[str, Any] | str:
    """A file's document, empty if it is not there or empty; or what is wrong with it."""
    try:
        data = path.read_bytes()
        document: Any = json.loads(data) if data.strip() else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    except (ValueError, RecursionError):
        return "it is not JSON"
    return document if isinstance(document, dict) else "it is not a JSON object"


def pair(entry: Any) -> Secret | None:
    """The secret of one entry of ``auths``: an identity token, or user and password."""
    if not isinstance(entry, dict):
        return None
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Secret(IDENTITY, token)
    if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
        return Secret(entry["username"], entry["password"])
    try:
        user, colon, password = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except ValueError:
        return None
    return Secret(user, password.rstrip("\0")) if colon and user else None
