"""The Python way to say what to build: an immutable, fluent builder over the nodes.

    base = img.image("debian:bookworm-slim")
    app = base.run("make all", env={"MODE": "release"}).copy(img.local("."), "/src", to="/app")
    img.build(app.cmd(["/app/bin"]), tag="app")

A `State` only remembers what was said. `lower` turns it into a `Target` when the base's configuration is known.
"""

from __future__ import annotations

import copy
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from img.digest import digest_of
from img.ir.definition import Definition, Target
from img.ir.nodes import Copy, Exec, Mkdir, Node, Scratch, Source, Write
from img.ir.values import Confinement, Mount, Notes

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMENT = "img.state.v1"

Json = dict[str, Any]


class Images(Protocol):
    """What lowering asks of the world: `img.ports.Resolver` has it."""

    def image(self, ref: str, platform: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Context:
    """A folder of this machine to copy from, without what matches `ignore` (patterns as in a .dockerignore)."""

    path: str
    ignore: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How the graph names it. The path is not part of it in clear, so that graphs agree between machines."""
        return "context" if self.path == "." else "folder-" + digest_of(os.path.abspath(self.path))[7:19]

    def source(self) -> Source:
        attrs = (("ignore", "\n".join(self.ignore)),) if self.ignore else ()
        return Source("local", self.name, attrs)


@dataclass(slots=True)
class _Building:
    """A target on its way."""

    root: Node
    config: Json
    layers: list[str]
    base_layers: int
    platform: str
    images: Images

    @property
    def settings(self) -> Json:
        settings: Json = self.config.setdefault("config", {})
        return settings

    def add(self, node: Node | None, words: str) -> None:
        """Note one instruction: a layer if it is a node, else an empty history entry."""
        entry: Json = {"created_by": words, "comment": COMMENT}
        if node is None:
            entry["empty_layer"] = True
        else:
            self.root = node
            self.layers.append(node.digest)
        self.config.setdefault("history", []).append(entry)


Operation = Callable[[_Building], None]


@dataclass(frozen=True)
class State:
    """A filesystem and its configuration in the making. Every method returns a new State."""

    base: str | State | None = None
    """An image's name, another State, or None for an empty filesystem."""
    operations: tuple[Operation, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    """The folders it copies from: name in the graph → path."""

    def _then(self, operation: Operation, contexts: Mapping[str, str] | None = None) -> State:
        return replace(self, operations=(*self.operations, operation), contexts={**self.contexts, **(contexts or {})})

    # --- files ---------------------------------------------------------------------------------------------

    def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str = "",
        cwd: str = "",
        mounts: Sequence[Mount] = (),
        confinement: Confinement = Confinement(),
        retry: int = 0,
    ) -> State:
        """A process: a string goes to ``/bin/sh -c``, a sequence is its argv. `env` is for this process alone. How much it
        may use is in ``confinement.resources``; `retry` is how often it is run again when it fails."""
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
        shown = command if isinstance(command, str) else " ".join(command)

        def operate(b: _Building) -> None:
            variables = {**_environment(b.settings), **(env or {})}
            variables.setdefault("PATH", PATH)
            node = Exec(
                b.root,
                argv,
                tuple(variables.items()),
                _absolute(b.settings, cwd),
                user or b.settings.get("User", ""),
                tuple(mounts),
                confinement,
                retry=retry,
                notes=Notes(f"RUN {shown}"),
            )
            b.add(node, f"RUN {' '.join(argv)}")

        return self._then(operate)

    def copy(
        self,
        source: Context | State,
        *paths: str,
        to: str,
        owner: str = "",
        mode: str = "",
        exclude: Sequence[str] = (),
    ) -> State:
        """Paths of a folder of this machine, or of another State, copied as COPY does."""
        contexts = {source.name: source.path} if isinstance(source, Context) else source.contexts

        def operate(b: _Building) -> None:
            if isinstance(source, Context):
                node = source.source()
            else:
                node = source._build(b.images, b.platform).root  # type: ignore[assignment]
            dest = _absolute(b.settings, to) + ("/" if to.endswith("/") and to != "/" else "")
            kept = isinstance(source, State)
            title = f"COPY {' '.join(paths)} {to}"
            made = Copy(b.root, node, paths, dest, owner, mode, tuple(exclude), keep_owner=kept, notes=Notes(title))
            b.add(made, title)

        return self._then(operate, contexts)

    def write(self, path: str, data: str | bytes, *, mode: int = 0o644, owner: str = "") -> State:
        """A file with these bytes."""
        content = data.encode() if isinstance(data, str) else data

        def operate(b: _Building) -> None:
            title = f"WRITE {path}"
            b.add(Write(b.root, _absolute(b.settings, path), content, mode, owner, notes=Notes(title)), title)

        return self._then(operate)

    # --- configuration -------------------------------------------------------------------------------------

    def env(self, **variables: str) -> State:
        """Environment variables of the image and of the steps that follow."""

        def operate(b: _Building) -> None:
            merged = {**_environment(b.settings), **variables}
            b.settings["Env"] = [f"{name}={value}" for name, value in merged.items()]
            b.add(None, "ENV " + " ".join(f"{name}={value}" for name, value in variables.items()))

        return self._then(operate)

    def workdir(self, path: str) -> State:
        """The working folder, made if it is not there."""

        def operate(b: _Building) -> None:
            b.settings["WorkingDir"] = where = _absolute(b.settings, path)
            title = f"WORKDIR {where}"
            b.add(Mkdir(b.root, where, owner=b.settings.get("User", ""), notes=Notes(title)), title)

        return self._then(operate)

    def user(self, name: str) -> State:
        """Who runs the steps that follow, and the image."""
        return self._set("User", name)

    def cmd(self, argv: Sequence[str]) -> State:
        """The image's default command."""
        return self._set("Cmd", list(argv))

    def entrypoint(self, argv: Sequence[str]) -> State:
        """The image's entry point."""
        return self._set("Entrypoint", list(argv))

    def label(self, **labels: str) -> State:
        """Labels of the image."""

        def operate(b: _Building) -> None:
            b.settings["Labels"] = {**b.settings.get("Labels", {}), **labels}
            b.add(None, "LABEL " + " ".join(f"{name}={value}" for name, value in labels.items()))

        return self._then(operate)

    def expose(self, *ports: str) -> State:
        """Ports the image listens on, e.g. ``"8080/tcp"``."""

        def operate(b: _Building) -> None:
            named: dict[str, Json] = {port if "/" in port else f"{port}/tcp": {} for port in ports}
            b.settings["ExposedPorts"] = {**b.settings.get("ExposedPorts", {}), **named}
            b.add(None, "EXPOSE " + " ".join(ports))

        return self._then(operate)

    def _set(self, key: str, value: object) -> State:
        def operate(b: _Building) -> None:
            b.settings[key] = value
            b.add(None, f"{key.upper()} {value}")

        return self._then(operate)

    # --- lowering ------------------------------------------------------------------------------------------

    def lower(self, images: Images, platform: str) -> Target:
        """The Target that this State describes. Raises what `images` raises."""
        b = self._build(images, platform)
        return Target(b.root, b.config, platform, tuple(b.layers), b.base_layers)

    def definition(self, images: Images, platform: str) -> Definition:
        """A Definition with this State as its one target."""
        return Definition((self.lower(images, platform),))

    def _build(self, images: Images, platform: str) -> _Building:
        chain, start = [self], self.base
        while isinstance(start, State):
            chain.append(start)
            start = start.base
        building = _start(start, images, platform)
        for state in reversed(chain):
            for operation in state.operations:
                operation(building)
        return building


def _start(base: str | None, images: Images, platform: str) -> _Building:
    os_name, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    if base is None:
        config: Json = {"architecture": architecture, "os": os_name, "config": {}, "history": []}
        if variant:
            config["variant"] = variant
        return _Building(Scratch(), config, [], 0, platform, images)
    found = images.image(base, platform)
    config = {key: value for key, value in found.config.items() if key not in ("rootfs", "created")}
    return _Building(found.source, copy.deepcopy(config), [], found.layers, platform, images)


def _environment(settings: Json) -> dict[str, str]:
    pairs = (item.partition("=") for item in settings.get("Env") or [])
    return {name: value for name, _, value in pairs}


def _absolute(settings: Json, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", settings.get("WorkingDir") or "/", path))


def image(name: str) -> State:
    """A State that stands on an image of a registry or of the store."""
    return State(name)


def scratch() -> State:
    """A State over an empty filesystem."""
    return State(None)


def local(path: str, ignore: Sequence[str] = ()) -> Context:
    """A folder of this machine to copy from."""
    return Context(path, tuple(ignore))
