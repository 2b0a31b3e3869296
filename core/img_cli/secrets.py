"""The values of ``--secret`` and ``--ssh``, read by docker's rules. Pure functions of the words and the environment."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from img.errors import UsageError
from img.secrets import SecretSource

KEYS = {"id": "id", "type": "type", "src": "src", "source": "src", "env": "env"}
TYPES = ("file", "env", "command")

_SECRET = "--secret id=ID[,src=FILE|env=NAME|type=command,src=COMMAND]"
_SSH = "--ssh default, --ssh ID=SOCKET or --ssh ID=KEY[,KEY]"


def parse_secrets(words: Sequence[str], environ: Mapping[str, str]) -> dict[str, SecretSource]:
    """Sources by id; of two with one id the last counts. Raises `UsageError`, in which no value ever stands.

    Without ``src`` and ``env`` the secret is the variable named like its id if there is one, else the file of that
    name. ``type=command`` is ours: ``src`` is run by the shell, and what it prints is the secret.
    """
    return dict(_secret(word, environ) for word in words)


def _secret(word: str, environ: Mapping[str, str]) -> tuple[str, SecretSource]:
    fields = _fields(word)
    id, kind = fields.get("id", ""), fields.get("type", "")
    if not id:
        raise UsageError(f"--secret {_shown(fields)} has no id", hint=_SECRET)
    if kind and kind not in TYPES:
        near = get_close_matches(kind, TYPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(TYPES)}"
        raise UsageError(f"--secret id={id} can't be of type {kind!r}", hint=hint)
    source, env = fields.get("src", ""), fields.get("env", "")
    if kind == "command":
        if not source or env:
            raise UsageError(f"--secret id={id} is a command, so it needs src=COMMAND and nothing else", hint=_SECRET)
        return id, SecretSource("command", source)
    if kind == "env" and not env:
        env, source = source, ""
    if source and env:
        raise UsageError(f"--secret id={id} has a file and a variable", hint=_SECRET)
    if kind == "file" and env:
        raise UsageError(f"--secret id={id} is a file, but env names a variable", hint=_SECRET)
    if not source and not env:
        env, source = (id, "") if kind != "file" and (kind == "env" or id in environ) else ("", id)
    return id, _variable(id, env, environ) if env else SecretSource("file", source)


def _variable(id: str, name: str, environ: Mapping[str, str]) -> SecretSource:
    if name not in environ:
        raise UsageError(f"--secret id={id} takes the variable {name}, which is not set", hint=f"export {name} first")
    return SecretSource("value", environ[name])


def _fields(word: str) -> dict[str, str]:
    """The fields of one value (CSV). What is wrong is named by its key alone: somebody may have put a value there."""
    try:
        rows = list(csv.reader([word], strict=True))
    except csv.Error as error:
        raise UsageError(f"a --secret is not well quoted: {error}", hint=_SECRET) from None
    found: dict[str, str] = {}
    for field in rows[0] if rows else []:
        name, equals, value = field.partition("=")
        name = name.strip().lower()
        if not equals:
            raise UsageError("a --secret has a field that is not name=value", hint=_SECRET)
        if name not in KEYS:
            near = get_close_matches(name, KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else _SECRET
            raise UsageError(f"a --secret has no option {name!r}", hint=hint)
        found[KEYS[name]] = value
    return found


def _shown(fields: Mapping[str, str]) -> str:
    return ",".join(f"{name}=…" for name in fields) or "(empty)"


def parse_ssh(words: Sequence[str], environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Paths by id: of an agent's socket, or of key files. Raises `UsageError`.

    An id alone is the agent that ``SSH_AUTH_SOCK`` names.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        id, equals, rest = word.partition("=")
        id = id.strip() or ("default" if equals else "")
        if not id:
            raise UsageError("--ssh is empty", hint=_SSH)
        paths = tuple(path for path in rest.split(",") if path)
        if equals and not paths:
            raise UsageError(f"--ssh {word} names no socket and no key", hint=_SSH)
        if not paths:
            paths = (_agent(id, environ),)
        found[id] = paths
    return found


def _agent(id: str, environ: Mapping[str, str]) -> str:
    path = environ.get("SSH_AUTH_SOCK", "")
    if not path:
        hint = f"start one (eval $(ssh-agent); ssh-add), or name keys: --ssh {id}=KEY"
        raise UsageError(f"--ssh {id} takes the running ssh agent, but SSH_AUTH_SOCK is not set", hint=hint)
    return path
