"""What is asked of a build, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from img.errors import UsageError
from img.ir.definition import Advice
from img.ir.values import Confinement
from img.ports import Snapshot
from img.secrets import SecretSource

DEFAULT_FILES = ("Dockerfile", "dockerfile", "Containerfile", "img.yaml", "img.yml", "img.toml")
"""The names of build files, in the order they are looked for."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a build runs and where its results go, whatever it builds from."""

    tags: tuple[str, ...] = ()
    outputs: tuple[Mapping[str, str], ...] = ()
    """``--output`` attributes, each with ``type``."""
    no_cache: bool = False
    pull: str = ""
    """When the registry is asked for a base: ``missing``, ``always``, ``never``; empty: as the settings say."""
    backend: str = ""
    expect_cached: tuple[str, ...] = ()
    """Wildcards; a step whose title one of them matches, and that has to run, fails the build with the reason."""
    no_cache_filter: tuple[str, ...] = ()
    """Groups of nodes (stages) that are made anew whatever the cache has."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the manifest; a key may begin with ``index:`` or ``manifest:`` and the like, as docker has it."""
    cache_from: tuple[Mapping[str, str], ...] = ()
    """Remote caches to look results up in, in order: attributes, each with ``type``."""
    cache_to: tuple[Mapping[str, str], ...] = ()
    """Remote caches that get the results, each with ``type``."""
    cache_mount_from: tuple[Mapping[str, str], ...] = ()
    """Where new cache mounts start from, in order: attributes as for `cache_from`."""
    cache_mount_to: tuple[Mapping[str, str], ...] = ()
    """Where cache mounts are kept that the build used."""
    timeout: float = 0
    """Seconds that all of it may take; 0 is no limit. The time of a step is in `Confinement.resources`."""
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    ssh: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Agents by id: the path of one agent's socket, or of one or more key files."""


@dataclass(frozen=True, slots=True)
class Request(Options):
    """What to build.

    `context` is a folder, a git or http URL, or ``-`` for `stdin`. `file` is the build file: a path of this machine if
    the context is a folder, else one in the context; an http URL; ``-`` for `stdin`; empty for the default names.
    """

    context: str = "."
    file: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platforms: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    frontend: str = ""
    contexts: Mapping[str, str] = field(default_factory=dict)
    confinement: Confinement = Confinement()
    allow: frozenset[str] = frozenset()
    stdin: BinaryIO | None = field(default=None, repr=False, compare=False)
    """Where ``-`` reads from: a tar in any compression, or a build file."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of one step: `cached`, or made in so many `seconds`; `why` says what changed since the last build."""

    title: str
    cached: bool
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """(name, manifest digest) of each image now in the store, a line for people per output, warnings."""

    images: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    warnings: tuple[Advice, ...]
    snapshots: tuple[Snapshot, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the exporters say for programs: see `img.ports.Exported`."""
    steps: tuple[StepOutcome, ...] = ()
    """The steps in the order they ended; filled in by `img.build` and its like."""

    @property
    def digest(self) -> str:
        """The digest of the image's manifest, or of the index of several platforms; empty if no output made one."""
        return str(self.facts.get("containerimage.digest") or "")

    @property
    def image_id(self) -> str:
        """What docker calls the image's id: the digest of its configuration; empty for an index."""
        return str(self.facts.get("containerimage.config.digest") or "")

    def _repr_html_(self) -> str:
        """As Jupyter shows it: text in tables, everything escaped."""
        from img.ir.page import table

        rows = [("image", f"{name} {digest}") for name, digest in self.images] or [("digest", self.digest)]
        rows += [("output", line) for line in self.lines]
        rows += [("warning", advice.message) for advice in self.warnings]
        steps = [(s.title, "cached" if s.cached else f"{s.seconds:.2f} s", s.why) for s in self.steps]
        return table(("", "build"), rows) + (table(("step", "", "why"), steps) if steps else "")


def build_file(request: Request, names: Sequence[str] = DEFAULT_FILES) -> Path:
    """Where the build file is, by one of `names` if the request has none. Raises `UsageError` naming what was looked for,
    and what is there."""
    if request.file:
        path = Path(request.file)
        if not path.is_file():
            raise UsageError(f"there is no build file {request.file}", hint="-f is relative to the current folder")
        return path
    for name in names:
        path = Path(request.context) / name
        if path.is_file():
            return path
    there = sorted(name for name in os.listdir(request.context) if "ockerfile" in name or "ontainerfile" in name)
    hint = f"there is {', '.join(there[:5])}: name it with -f" if there else "name one with -f"
    raise UsageError(f"there is no {names[0]} in {request.context}", hint=hint)


def shown(file: Path) -> str:
    """The file's name for messages: relative to the current folder unless it lies elsewhere."""
    relative = os.path.relpath(file)
    return os.fspath(file) if relative.startswith("..") else relative


def inside(file: Path, context: Path) -> str:
    """The build file's path in the context, or empty: ``<file>.dockerignore`` is looked for beside it."""
    real, root = os.path.realpath(file), os.path.realpath(context)
    return os.path.relpath(real, root) if real.startswith(root.rstrip(os.sep) + os.sep) else ""
