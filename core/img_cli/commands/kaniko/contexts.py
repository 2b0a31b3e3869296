"""What the executor calls a context, as one of ours."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from img.errors import UsageError
from img.secrets import SecretSource
from img_cli.commands.kaniko.flags import FALSE, TRUE, Given

DEFAULT = "/workspace/"
ELSEWHERE = ("gs", "s3")
GIT = ("branch", "single-branch", "recurse-submodules", "insecure-skip-tls")


class Where(NamedTuple):
    """A context and a build file as `img.request.Request` takes them."""

    context: str
    file: str


def where(given: Given, session: Any, environ: Mapping[str, str]) -> Where:
    """The context and the build file. A tar is unpacked into the session's scratch. Raises `UsageError`."""
    text = given.one("context", DEFAULT)
    scheme, mark, rest = text.partition("://")
    below = given.one("context-sub-path")
    file = given.one("dockerfile", "Dockerfile")
    if not mark or scheme == "dir":
        return _folder(_below(Path(rest if mark else text), below, text), file)
    if scheme == "tar":
        return _folder(_below(_unpacked(rest, session), below, text), file)
    if scheme == "git":
        return Where(_repository(rest, below, given.one("git"), environ), file)
    if scheme in ("https", "http", "ssh") and not below:
        return Where(text, "" if file == "Dockerfile" else file)
    if scheme in ELSEWHERE:
        hint = "fetch the archive first, and give it as --context tar://FILE"
        raise UsageError(f"contexts in a {scheme}:// bucket are not read", hint=hint)
    raise UsageError(
        f"the context {text} with --context-sub-path can't be used" if below else f"the context {text} can't be used",
        hint="a folder, dir://FOLDER, tar://FILE, tar://stdin or git://HOST/REPOSITORY",
    )


def _folder(folder: Path, file: str) -> Where:
    """The build file as the executor looks for it: here, then in the context."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} to be the context", hint="name it with --context")
    if "://" in file or os.path.isfile(file):
        return Where(os.fspath(folder), file)
    inside = folder / file
    if not inside.is_file():
        raise UsageError(f"there is no build file {file}, here or in {folder}", hint="name it with --dockerfile")
    return Where(os.fspath(folder), os.fspath(inside))


def _below(folder: Path, below: str, text: str) -> Path:
    """The folder `below` the context's, which it must not leave."""
    found = Path(os.path.realpath(folder / below.lstrip("/")))
    root = Path(os.path.realpath(folder))
    if not found.is_relative_to(root):
        raise UsageError(f"--context-sub-path {below} leads out of {text}")
    if below and not found.is_dir():
        raise UsageError(f"there is no folder {below} in {text}", hint="--context-sub-path names one")
    return found if below else folder


def _unpacked(name: str, session: Any) -> Path:
    from img.contexts.archive import unpack_or_read

    folder: Path = session.store.scratch()
    try:
        with sys.stdin.buffer if name == "stdin" else Path(name).open("rb") as stream:
            found = unpack_or_read(stream, folder, name)
    except OSError as error:
        raise UsageError(f"can't read the context {name}: {error.strerror}") from error
    if found is not None:
        raise UsageError(f"the context {name} is no tar", hint="a tar, as it is or compressed")
    return folder


def _repository(rest: str, below: str, words: str, environ: Mapping[str, str]) -> str:
    """``HOST/REPOSITORY[#REF[#COMMIT]]`` as an address of ours: over https unless GIT_PULL_METHOD says otherwise, with
    ``.git`` in the context, and submodules only if they are asked for, as the executor has it."""
    address, _, after = rest.partition("#")
    ref, _, commit = after.partition("#")
    options = _git_options(words)
    method = environ.get("GIT_PULL_METHOD", "https")
    if method not in ("https", "http"):
        raise UsageError(f"GIT_PULL_METHOD can't be {method!r}", hint="https or http")
    path = address if urlsplit(f"//{address}").path.endswith(".git") else f"{address.rstrip('/')}.git"
    query = {
        "ref": commit or ref or options.get("branch", ""),
        "subdir": below.strip("/"),
        "submodules": "" if _true(options.get("recurse-submodules", "false")) else "false",
        "keep-git-dir": "true",
    }
    return f"{method}://{path}?{urlencode({name: value for name, value in query.items() if value})}"


def _git_options(words: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in filter(None, words.split(",")):
        name, equals, value = word.partition("=")
        if name not in GIT or not equals:
            raise UsageError(f"invalid --git value {word!r}", hint=f"NAME=VALUE of {', '.join(GIT)}")
        found[name] = value
    if _true(found.get("insecure-skip-tls", "false")):
        raise UsageError(
            "--git insecure-skip-tls=true can't be honoured", hint="add the authority to the system's certificates"
        )
    return found


def _true(text: str) -> bool:
    if text.lower() not in (*TRUE, *FALSE):
        raise UsageError(f"{text!r} in --git is neither true nor false")
    return text.lower() in TRUE


def logins(environ: Mapping[str, str]) -> dict[str, SecretSource]:
    """The executor's variables for git as the secrets that our git source asks for: GIT_TOKEN, or GIT_USERNAME and
    GIT_PASSWORD."""
    user, password = environ.get("GIT_USERNAME", ""), environ.get("GIT_PASSWORD", "")
    if user and password:
        packed = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"GIT_AUTH_HEADER": SecretSource("value", f"basic {packed}")}
    token = environ.get("GIT_TOKEN", "") or (user if not password else "")
    return {"GIT_AUTH_TOKEN": SecretSource("value", token)} if token else {}
