"""What a package.json and its lock file say of a project, as far as an image needs it."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, NamedTuple

from img.errors import FrontendError
from img.ports import Resolver
from img_node.document import Document
from img_node.settings import KEY, Settings
from img_node.versions import MAJORS, newest

LOCKS = ("npm-shrinkwrap.json", "package-lock.json")
OTHERS = {"yarn.lock": "yarn", "pnpm-lock.yaml": "pnpm", "bun.lock": "bun", "bun.lockb": "bun"}
NEEDED = (
    "name dependencies devDependencies optionalDependencies peerDependencies peerDependenciesMeta bundleDependencies "
    "bundledDependencies overrides engines os cpu"
).split()
"""What `npm ci` looks at of a package.json."""
_SHELL = re.compile(r"[^A-Za-z0-9_@%+=:,./ \"'\\-]")


class Lock(NamedTuple):
    """What `npm ci` needs: the two files by name, without what changes and does not matter to it."""

    files: tuple[tuple[str, bytes], ...]
    production: bool
    """Whether there is anything to install for running."""


def read_lock(document: Document, resolver: Resolver) -> Lock | None:
    """The project's lock file; None for a project without dependencies. Raises `FrontendError`."""
    names = ("dependencies", "optionalDependencies")
    production = any(document.texts(name) for name in names)
    if not production and not document.texts("devDependencies"):
        return None
    if document.get("workspaces") is not None:
        hint = "build each package in a folder of its own"
        raise FrontendError("workspaces are not built from here", hint=hint, place=document.place("workspaces"))
    for name in LOCKS:
        data = resolver.context_file(name)
        if data is not None:
            return Lock((("package.json", _needed(document.table)), (name, _lock(name, data))), production)
    other = next((name for name in OTHERS if resolver.context_file(name) is not None), "")
    why = f"{other} is {OTHERS[other]}'s, and npm is used here" if other else "there is no package-lock.json"
    hint = "write one: npm install --package-lock-only"
    raise FrontendError(f"nothing locks the dependencies: {why}", hint=hint, place=document.place("dependencies"))


def _needed(table: dict[str, Any]) -> bytes:
    return json.dumps({name: table[name] for name in NEEDED if name in table}, indent=2).encode()


def _lock(name: str, data: bytes) -> bytes:
    """A lock file without the project's own version."""
    lock = Document(name, data)
    packages = lock.get("packages")
    if not isinstance(packages, dict):
        hint = "write it again with npm 7 or later: npm install --package-lock-only"
        raise FrontendError(f"{name} has an old format", hint=hint, place=lock.place("lockfileVersion"))
    for path, package in packages.items():
        if package.get("link") or str(package.get("resolved", "")).startswith("file:"):
            hint = "put the package into a registry"
            raise FrontendError(f"{path} is a folder beside the project", hint=hint, place=lock.place("packages", path))
    packages.get("", {}).pop("version", None)
    lock.table.pop("version", None)
    return json.dumps(lock.table, indent=2).encode()


def version(document: Document, resolver: Resolver) -> int:
    """The major version of Node.js: what ``.nvmrc`` or ``.node-version`` says, else the newest that ``engines`` allows.
    Raises `FrontendError`."""
    for name in (".nvmrc", ".node-version"):
        match = re.match(rb"\s*v?(\d+)", resolver.context_file(name) or b"")
        if match:
            return int(match[1])
    text = document.texts("engines").get("node", "*")
    place = document.place("engines", "node")
    try:
        found = newest(text)
    except ValueError:
        raise FrontendError(f"engines.node says {text!r}, which is no range", hint='e.g. ">=20"', place=place) from None
    if found is None:
        hint = f"known: {', '.join(map(str, MAJORS))}; or name a base in {KEY}"
        raise FrontendError(f"no Node.js that is known fits {text!r}", hint=hint, place=place)
    return found


def command(document: Document, settings: Settings) -> tuple[str, ...]:
    """What the image runs: the script ``start`` without npm around it, so that signals reach the program; else what ``bin``
    or ``main`` names. Raises `FrontendError` if nothing says it."""
    if settings.command:
        return settings.command
    start = document.texts("scripts").get("start", "")
    if start and _SHELL.search(start):
        return ("sh", "-c", f"exec {start}" if not re.search(r"[;&|\n]", start) else start)
    if start:
        try:
            return tuple(shlex.split(start))
        except ValueError:
            raise FrontendError("a quote is open", place=document.place("scripts", "start")) from None
    program: Any = document.get("bin")
    if isinstance(program, dict):
        program = next(iter(program.values())) if len(program) == 1 else program.get(document.get("name"))
    program = program or document.get("main")
    if isinstance(program, str) and program:
        return ("node", program)
    hint = f'give it a script start, or say "command" in "{KEY}"'
    raise FrontendError("nothing says what the image runs", hint=hint, place=document.place("scripts"))
