"""The frontend ``python``: pyproject.toml to a graph.

    build base ── venv ── dependencies ── project           (compilers and pip stay here)
    base ── user ─────────┴───────────────┴── image         (two layers: the dependencies', the project's)

The dependencies' steps hang on the lock file's packages alone, so that a change of the source leaves them as they are. pip's
cache is a cache mount. The bytecode is compiled with unchecked hashes: it has no times in it. ``pip.conf`` and
``ca-certificates.crt`` may be given as secrets (``--secret id=pip.conf,src=…``): pip sees them, the image never does.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import img
from img.errors import FrontendError, ImgError, UsageError
from img.files.ignoring import find_ignore
from img.files.patterns import read_ignore
from img.ir.definition import Advice, Definition, Target
from img.ir.mounting import Mounted
from img.ir.origin import context
from img.ir.values import CacheDir, Secret
from img.oci.platform import Platform
from img.ports import BaseImage, FrontendRequest, Host, Report, Resolver
from img_python.document import Document
from img_python.locks import Pins, read_pins
from img_python.project import Project, command, read_project
from img_python.settings import TABLE, Settings, read_settings

VENV, PREFIX, WORK = "/opt/venv", "/opt/project", "/tmp/img-python"
APP, UID = "/app", "10001"
OFFICIAL = "docker.io/library/python"
IGNORED = (".venv", "venv", "**/__pycache__", ".*_cache", ".tox", ".nox", "build", "dist", "*.egg-info")
"""What of a context without an ignore file is never needed."""
MOUNTS: tuple[Mounted, ...] = (
    CacheDir("img-python/pip", "/root/.cache/pip"),
    Secret("pip.conf", "/etc/pip.conf"),
    Secret("ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt"),
)
COMPILE = "{python} -m compileall -qq --invalidation-mode unchecked-hash {options} || :"
APT = "apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*"
ADD_USER = (
    f"grep -q ^app: /etc/passwd || echo 'app:x:{UID}:{UID}::{APP}:/bin/sh' >> /etc/passwd; "
    f"grep -q ^app: /etc/group || echo 'app:x:{UID}:' >> /etc/group"
)


class PythonFrontend:
    """Offered as the frontend ``python``. See `img.ports.Frontend`."""

    calls: tuple[str, ...] = ("check",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def load(self, request: FrontendRequest, resolver: Resolver) -> Definition:
        """Raises `FrontendError` with the place, and what the resolver raises."""
        return _Loading(request, resolver).definition()

    def call(self, name: str, request: FrontendRequest, resolver: Resolver) -> Report:
        """``check``: whether the project can be built, as far as its files tell. Raises as `load` does."""
        if name not in self.calls:
            raise UsageError(f"the frontend python can't answer {name!r}", hint=f"calls: {', '.join(self.calls)}")
        loading = _Loading(request, resolver)
        pins = read_pins(loading.document, loading.project, loading.settings, resolver)
        names = [line.partition("==")[0] for line in pins.files[0][1].decode().splitlines() if "==" in line]
        text = f"{loading.project.name}: Python {loading.project.python}, {len(names)} packages of {pins.origin}\n"
        return Report(text, {"name": loading.project.name, "lock": pins.origin, "packages": names})


class _Loading:
    """One build file on its way."""

    def __init__(self, request: FrontendRequest, resolver: Resolver) -> None:
        if request.target:
            raise FrontendError(f"target stage {request.target!r} could not be found", hint="there is one image: none")
        self.request = request
        self.resolver = resolver
        self.document = Document(request.file, request.text)
        self.settings: Settings = read_settings(self.document)
        pinned = None if self.settings.base else resolver.context_file(".python-version")
        self.project: Project = read_project(self.document, self.settings, pinned)
        self.command = command(self.document, self.project, self.settings, VENV)
        ignore = find_ignore(request.options, resolver.context_file)
        git = () if self.project.dynamic else (".git",)
        self._context = context(read_ignore(ignore[1], ignore[0]) if ignore else (*IGNORED, *git))

    def definition(self) -> Definition:
        platforms = self.request.platforms or (self.request.build_platform,)
        pins = read_pins(self.document, self.project, self.settings, self.resolver)
        state = self._image(pins)
        unused = [name for name in self.request.args if name != "SOURCE_DATE_EPOCH"]
        told = (Advice(f"one or more build-args [{' '.join(unused)}] were not consumed"),) if unused else ()
        return Definition(tuple(self._target(state, str(Platform.parse(text))) for text in platforms), told)

    def _target(self, state: img.State, platform: str) -> Target:
        target = state.lower(_Bases(self), platform)
        epoch = self.request.args.get("SOURCE_DATE_EPOCH", "")
        return replace(target, epoch=int(epoch)) if epoch.isdigit() else target

    # --- what is built -------------------------------------------------------------------------------------------

    def _image(self, pins: Pins) -> img.State:
        settings = self.settings
        state = self._run(img.image(self.base), APT.format(_words(settings.packages))) if settings.packages else None
        state = state or img.image(self.base)
        needed = self.project.package or bool(pins.files[0][1].strip())
        deps = self._dependencies(pins) if needed else None
        if not settings.user:
            state = self._run(state, ADD_USER)
        state = state.workdir(APP)
        if deps is not None:
            state = state.copy(deps, VENV, to=VENV)
        if deps is not None and self.project.package:
            state = state.copy(self._project(deps), PREFIX, to=VENV)
        else:
            for path in settings.files:
                state = state.copy(self._context, path, to=f"{APP}/")
        state = state.env(**self._environment())
        if settings.expose:
            state = state.expose(*settings.expose)
        if self.request.labels:
            state = state.label(**self.request.labels)
        return state.user(settings.user or "app").entrypoint(self.command)

    def _dependencies(self, pins: Pins) -> img.State:
        """The venv with everything that is locked."""
        state = img.image(self.build_base)
        if self.settings.build_packages:
            state = self._run(state, APT.format(_words(self.settings.build_packages)))
        state = self._run(state, f"{self.settings.python} -m venv --without-pip {VENV}")
        if not pins.files[0][1].strip():
            return state
        for path, data in pins.files:
            state = state.write(f"{WORK}/{path}", data)
        options = "--no-deps --require-hashes " if pins.complete else ""
        return self._run(state, f"{self._pip} {options}-r {WORK}/{shlex.quote(pins.files[0][0])} && {_compiled(VENV)}")

    def _project(self, deps: img.State) -> img.State:
        """The project's own files, as they lie in the venv, below `PREFIX`."""
        state = deps.copy(self._context, ".", to=f"{WORK}/{self.project.name}/")
        install = f"{self._pip} --no-deps --prefix {PREFIX} {WORK}/{shlex.quote(self.project.name)}"
        return self._run(state, f"{install} && {_compiled(PREFIX, f'-s {PREFIX} -p {VENV}')}")

    @property
    def _pip(self) -> str:
        options = (
            "--no-compile --no-input --disable-pip-version-check --root-user-action=ignore --no-warn-script-location"
        )
        return f"{self.settings.python} -m pip --python {VENV}/bin/python install {options}"

    def _run(self, state: img.State, line: str) -> img.State:
        return state.run(line, mounts=MOUNTS, confinement=self.request.confinement, user="0")

    def _environment(self) -> Mapping[str, str]:
        path = f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **self.settings.env}

    # --- bases ---------------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return self.settings.base or f"{OFFICIAL}:{self.project.python}-slim"

    @property
    def build_base(self) -> str:
        return self.settings.build_base or self.settings.base or f"{OFFICIAL}:{self.project.python}"


class _Bases:
    """The images that the graph stands on; a named context takes the place of one."""

    def __init__(self, loading: _Loading) -> None:
        self._loading = loading

    def image(self, ref: str, platform: str) -> BaseImage:
        loading = self._loading
        try:
            named: Any = loading.resolver.named(ref, platform) if loading.request.contexts else None
            return named if isinstance(named, BaseImage) else loading.resolver.image(ref, platform)
        except ImgError as error:
            key = "build-base" if ref != loading.base else "base"
            said = loading.document.get(*TABLE, key) is not None
            error.place = error.place or loading.document.place(
                *((*TABLE, key) if said else ("project", "requires-python"))
            )
            raise


def _compiled(folder: str, options: str = "") -> str:
    """Bytecode of all that is in `folder`; what is no Python of this version is left, as pip leaves it."""
    return "{ " + COMPILE.format(python=f"{VENV}/bin/python", options=f"{options} {folder}/lib".strip()) + "; }"


def _words(packages: tuple[str, ...]) -> str:
    return " ".join(map(shlex.quote, packages))
