"""Where `img login` puts a secret, and `img logout` takes it from: docker's ``config.json`` (or ``$REGISTRY_AUTH_FILE``),
or the credential helper that this file names. The file is replaced whole, with mode 0600; keys we don't know stay."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from img.errors import RegistryError, UsageError
from img_plugins.registry import helpers
from img_plugins.registry.auth import IDENTITY, Secret
from img_plugins.registry.credentials import HUB, helper_key, host_keys


def server_of(text: str) -> tuple[str, str]:
    """Host and path of a server as people write it: ``https://index.docker.io/v1/``, ``host:5000``, ``host/team``; empty
    is Docker Hub. Raises `UsageError`."""
    rest = text.strip().partition("://")[2] or text.strip()
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if path in ("v1", "v2"):
        path = ""
    if host in ("", "index.docker.io", "registry-1.docker.io"):
        host = "docker.io"
    if "@" in host or any(character.isspace() for character in rest):
        raise UsageError(f"{host!r} is not a registry", hint="img login HOST[:PORT]")
    return host, path


def keep(path: Path, host: str, scope: str, secret: Secret) -> str:
    """Keep a secret; returns where, in words. Raises `RegistryError`, `UsageError`."""
    with _changing(path) as document:
        helper = "" if scope else _helper(document, host)
        key = f"{host}/{scope}" if scope else HUB if host == "docker.io" else host
        auths = _table(document, "auths", path)
        if helper:
            _asked(helpers.store, helper, helper_key(host), secret)
            auths[key] = {}
            return f"docker-credential-{helper}"
        auths[key] = _entry(secret)
    return str(path)


def forget(path: Path, host: str, scope: str) -> bool:
    """Forget a secret; returns whether there was one. Raises `RegistryError`, `UsageError`."""
    if not path.exists():
        return False
    with _changing(path) as document:
        auths = _table(document, "auths", path)
        known = [f"{host}/{scope}"] if scope else host_keys(host)
        gone = [auths.pop(key) for key in known if key in auths]
        helper = "" if scope else _helper(document, host)
        if helper:
            gone += [found for found in (_known(helper, host),) if found]
            _asked(helpers.erase, helper, helper_key(host))
        return bool(gone)


def _known(helper: str, host: str) -> bool:
    try:
        return helpers.get(helper, helper_key(host)) is not None
    except helpers.HelperError:
        return False


def _asked(act: Any, *arguments: Any) -> None:
    try:
        act(*arguments)
    except helpers.HelperError as error:
        raise RegistryError(str(error), hint="install it, or take its name out of the file") from None


def _entry(secret: Secret) -> dict[str, str]:
    if secret.user == IDENTITY:
        return {"identitytoken": secret.password}
    return {"auth": base64.b64encode(f"{secret.user}:{secret.password}".encode()).decode("ascii")}


def _helper(document: dict[str, Any], host: str) -> str:
    own = document.get("credHelpers")
    if isinstance(own, dict):
        for key in host_keys(host):
            if isinstance(own.get(key), str):
                return str(own[key])
    found = document.get("credsStore")
    return found if isinstance(found, str) else ""


def _table(document: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = document.setdefault(key, {})
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {key} is not an object", hint="mend the file, or move it away")
    return found


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Any]]:
    """The file's document, to be changed; written back at the end. One at a time, also between processes."""
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = _read(path)
            document = json.loads(before) if before else {}
            if not isinstance(document, dict):
                raise UsageError(f"{path} is not a JSON object", hint="mend it, or move it away")
            yield document
            after = json.dumps(document, indent=2).encode() + b"\n"
            if not before or json.loads(before) != document:
                _write(part, after)
                os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
            os.close(lock)
    except ValueError as error:
        raise UsageError(f"{path} is not JSON", hint="mend it, or move it away") from error
    except OSError as error:
        raise UsageError(
            f"can't write {path}: {error.strerror}", hint="check the folder, its owner and mode"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # of somebody who died at it: we hold the lock
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(descriptor)
