"""The frontend ``node``: package.json to a graph.

    build base ── npm ci --omit=dev                            (npm stays here)
    build base ── npm ci ── the project ── npm run build       (if it has such a script)
    base ── user ── node_modules ── the project                (two layers)

Installing hangs on what the lock file says of packages alone, so that a change of the source, of a script or of the project's
version leaves it as it is. npm's cache is a cache mount. ``npmrc`` and ``ca-certificates.crt`` may be given as secrets
(``--secret id=npmrc,src=…``): npm sees them, the image never does.
"""

from __future__ import annotations

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
from img_node.document import Document
from img_node.project import Lock, command, read_lock, version
from img_node.settings import KEY, Settings, read_settings

APP, UID = "/app", "10001"
OFFICIAL = "docker.io/library/node"
MODULES = "node_modules"
MOUNTS: tuple[Mounted, ...] = (
    CacheDir("img-node/npm", "/root/.npm"),
    Secret("npmrc", "/root/.npmrc"),
    Secret("ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt"),
)
QUIET = {"HOME": "/root", "npm_config_update_notifier": "false"}
INSTALL = "npm ci --no-audit --no-fund"
ADD_USER = (
    f"grep -q ^app: /etc/passwd || echo 'app:x:{UID}:{UID}::{APP}:/bin/sh' >> /etc/passwd; "
    f"grep -q ^app: /etc/group || echo 'app:x:{UID}:' >> /etc/group"
)


class NodeFrontend:
    """Offered as the frontend ``node``. See `img.ports.Frontend`."""

    calls: tuple[str, ...] = ("check",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def load(self, request: FrontendRequest, resolver: Resolver) -> Definition:
        """Raises `FrontendError` with the place, and what the resolver raises."""
        return _Loading(request, resolver).definition()

    def call(self, name: str, request: FrontendRequest, resolver: Resolver) -> Report:
        """``check``: whether the project can be built, as far as its files tell. Raises as `load` does."""
        if name not in self.calls:
            raise UsageError(f"the frontend node can't answer {name!r}", hint=f"calls: {', '.join(self.calls)}")
        loading = _Loading(request, resolver)
        text = f"{request.file}: {loading.base}, runs {' '.join(loading.command)}\n"
        return Report(text, {"base": loading.base, "command": list(loading.command)})


class _Loading:
    """One build file on its way."""

    def __init__(self, request: FrontendRequest, resolver: Resolver) -> None:
        if request.target:
            raise FrontendError(f"target stage {request.target!r} could not be found", hint="there is one image: none")
        self.request = request
        self.resolver = resolver
        self.document = Document(request.file, request.text)
        self.settings: Settings = read_settings(self.document)
        self.command = command(self.document, self.settings)
        self.lock: Lock | None = read_lock(self.document, resolver)
        self._official = "" if self.settings.base else f"{OFFICIAL}:{version(self.document, resolver)}"
        ignore = find_ignore(request.options, resolver.context_file)
        patterns = read_ignore(ignore[1], ignore[0]) if ignore else (".git",)
        self._context = context((*patterns, MODULES))

    def definition(self) -> Definition:
        platforms = self.request.platforms or (self.request.build_platform,)
        state = self._image()
        unused = [name for name in self.request.args if name != "SOURCE_DATE_EPOCH"]
        told = (Advice(f"one or more build-args [{' '.join(unused)}] were not consumed"),) if unused else ()
        return Definition(tuple(self._target(state, str(Platform.parse(text))) for text in platforms), told)

    def _target(self, state: img.State, platform: str) -> Target:
        target = state.lower(_Bases(self), platform)
        epoch = self.request.args.get("SOURCE_DATE_EPOCH", "")
        return replace(target, epoch=int(epoch)) if epoch.isdigit() else target

    # --- what is built -------------------------------------------------------------------------------------------

    def _image(self) -> img.State:
        settings = self.settings
        state = img.image(self.base)
        user = settings.user or ("node" if self._official else "app")
        if user == "app" and not settings.user:
            state = self._run(state, ADD_USER)
        state = state.workdir(APP)
        if self.lock is not None and self.lock.production:
            state = state.copy(self._installed("--omit=dev"), f"{APP}/{MODULES}", to=f"{APP}/{MODULES}")
        built = self._built()
        for path in settings.files:
            if built is None:
                state = state.copy(self._context, path, to=_into(path))
            else:
                state = state.copy(built, f"{APP}/{path}", to=_into(path))
        state = state.env(**self._environment())
        if settings.expose:
            state = state.expose(*settings.expose)
        if self.request.labels:
            state = state.label(**self.request.labels)
        return state.user(user).cmd(self.command)

    def _built(self) -> img.State | None:
        """The project after its build script, without its modules; None if it has no such script."""
        name = self.settings.build
        if not name or name not in self.document.texts("scripts"):
            return None
        state = img.image(self.build_base).workdir(APP) if self.lock is None else self._installed("")
        return self._run(state.copy(self._context, ".", to=f"{APP}/"), f"npm run {name} && rm -rf {MODULES}")

    def _installed(self, option: str) -> img.State:
        """The modules of the lock file."""
        assert self.lock is not None
        state = img.image(self.build_base).workdir(APP)
        for name, data in self.lock.files:
            state = state.write(name, data)
        return self._run(state, f"{INSTALL} {option}".rstrip())

    def _run(self, state: img.State, line: str) -> img.State:
        return state.run(line, env=QUIET, mounts=MOUNTS, confinement=self.request.confinement, user="0")

    def _environment(self) -> Mapping[str, str]:
        path = f"{APP}/{MODULES}/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"NODE_ENV": "production", "PATH": path, **self.settings.env}

    # --- bases ---------------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return self.settings.base or f"{self._official}-slim"

    @property
    def build_base(self) -> str:
        return self.settings.build_base or self.settings.base or self._official


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
            said = loading.document.get(KEY, key) is not None
            error.place = error.place or loading.document.place(*((KEY, key) if said else ("engines", "node")))
            raise


def _into(path: str) -> str:
    """Where a path of the project goes: a file into the folder it was in, a folder's files into the folder."""
    return f"{APP}/" if path == "." else f"{APP}/{path}"
