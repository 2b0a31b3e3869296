"""The Python way to say what to build: an immutable, fluent builder over the nodes.

    base = img.image("debian:bookworm-slim")
    app = base.run("make all", env={"MODE": "release"}).copy(img.local("."), "src", to="/app")
    img.build(app.cmd(["/app/bin"]), tag="app")

A `State` only remembers what was said. `lower` turns it into a `Target` when the base's configuration is known. What is said
wrong is a `UsageError` at once, at the line that says it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from img.errors import UsageError
from img.ir import checked
from img.ir.building import Building, Images, Json, health_words, quoted
from img.ir.definition import Definition, Target
from img.ir.lowering import argv_of, confined, files, linked, lowered, mounted, mounts_of, port
from img.ir.mounting import FilesMount, Mounted
from img.ir.nodes import Copy, Exec, Link, Mkdir, Node, Remove, Scratch, Write
from img.ir.origin import Files, git, http, joined, local
from img.ir.values import Confinement, Notes

__all__ = ["Files", "State", "git", "http", "image", "local", "scratch"]

SECOND = 10**9

Operation = Callable[[Building], None]


@dataclass(frozen=True, repr=False, eq=False)
class State:
    """A filesystem and its configuration in the making. Every method returns a new State."""

    base: str | State | None = None
    """An image's name, another State, or None for an empty filesystem."""
    operations: tuple[Operation, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    """The folders it copies from: name in the graph → path."""

    def __repr__(self) -> str:
        start = f"image({self.base!r})" if isinstance(self.base, str) else "scratch()" if self.base is None else "state"
        return f"<State {start} and {len(self.operations)} instructions>"

    def _repr_svg_(self) -> str:
        """The graph as Jupyter shows it. Nobody is asked for the base's configuration."""
        from img.ir.picture import sketch

        return sketch(self)

    def _then(self, operation: Operation, *contexts: Mapping[str, str]) -> State:
        folders = joined([dict(one) for one in (self.contexts, *contexts)])
        return replace(self, operations=(*self.operations, operation), contexts=folders)

    # --- files ---------------------------------------------------------------------------------------------

    def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str = "",
        cwd: str = "",
        mounts: Sequence[Mounted] = (),
        network: str = "default",
        confinement: Confinement | None = None,
        retry: int = 0,
        cache: bool = True,
    ) -> State:
        """A process: text goes to the shell (``/bin/sh -c`` unless `shell` says otherwise; text that begins with ``#!`` is
        a program of its own), a sequence is its argv. `env` is for this process alone, `mounts` come from `img.mount`,
        `network` is ``default``, ``host``, ``none`` or ``sandbox``. How much it may use is in ``confinement.resources``;
        `retry` is how often it is run again when it fails; without `cache` it runs anew in every build."""
        words = checked.command(command, "the command of run")
        own = checked.variables(env or {}, "the env of run")
        given = mounts_of(mounts)
        tight = confined(network, confinement)

        def operate(b: Building) -> None:
            notes = Notes(f"RUN {words if isinstance(words, str) else ' '.join(words)}", fresh=not cache)
            argv, extra = argv_of(b, words, notes)
            variables = {**b.args, **b.environment, **own}
            there = tuple(mounted(b, mount, notes) for mount in given)
            where = b.absolute(cwd)
            who = user or b.settings.get("User", "")
            node = Exec(
                b.root, argv, tuple(variables.items()), where, who, (*there, *extra), tight, retry=retry, notes=notes
            )
            b.add(node, f"RUN {b.told()}{' '.join(argv)}", built=True)

        return self._then(operate, *(m.source.contexts for m in given if isinstance(m, FilesMount)))

    def copy(
        self,
        source: Files | State,
        *paths: str,
        to: str,
        owner: str = "",
        mode: int | str | None = None,
        exclude: Sequence[str] = (),
        link: bool = False,
        parents: bool = False,
        unpack: bool = False,
    ) -> State:
        """Paths of `source`, which is another State or one of `local`, `git` and `http`, copied as COPY does; with `unpack`
        archives are unpacked, as ADD does. Without paths everything is copied. `to` with a slash at its end is a folder;
        `link` makes a layer that knows nothing of what is below it."""
        if not isinstance(source, Files | State):
            hint = "e.g. copy(img.local('.'), 'src', to='/app')"
            raise UsageError(f"copy takes a State or files, not {checked.kind(source)}", hint=hint)
        named = tuple(checked.text(path, "a path of copy") for path in paths)
        folder = isinstance(source, State) or source.scheme == "local"
        taken = named or (source.paths if isinstance(source, Files) else (".",))
        shown = " ".join(taken if folder else (source.ref,) if isinstance(source, Files) else ())
        dest, bits = checked.path(to, "the destination of copy"), checked.octal(mode, "the mode of copy")
        left = checked.texts(exclude, "exclude")
        word = "ADD" if unpack or not folder else "COPY"

        def operate(b: Building) -> None:
            node = files(b, source)
            notes = Notes(f"{word} {shown} {dest}")

            def placed(base: Node) -> Node:
                return Copy(
                    base,
                    node,
                    taken,
                    b.folder(dest),
                    owner,
                    bits,
                    left,
                    parents,
                    unpack,
                    not folder and not named,
                    keep_owner=isinstance(source, State),
                    mtime=b.epoch,
                    notes=notes,
                )

            flags = " --parents" if parents else ""
            flags += "".join(f" --{name}={value}" for name, value in (("chown", owner), ("chmod", bits)) if value)
            b.add(
                linked(b.root, placed, notes) if link and not bits else placed(b.root),
                f"{word}{flags} {shown} {dest}",
                True,
            )

        return self._then(operate, source.contexts)

    def write(self, path: str, data: str | bytes, *, mode: int | str | None = None, owner: str = "") -> State:
        """A file with these bytes."""
        if not isinstance(data, str | bytes):
            raise UsageError(f"write takes text or bytes, not {checked.kind(data)}")
        content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        dest, bits = checked.path(path, "the path of write"), checked.octal(mode, "the mode of write")

        def operate(b: Building) -> None:
            aside = Write(Scratch(), "/EOF", content, notes=Notes(f"[internal] {path}"))
            title = Notes(f"WRITE {path}")
            to = b.absolute(dest)
            node = Copy(b.root, aside, ("EOF",), to, owner, bits, literal=True, mtime=b.epoch, notes=title)
            flags = "".join(f" --{name}={value}" for name, value in (("chown", owner), ("chmod", bits)) if value)
            b.add(node, f"COPY{flags} <<EOF {dest}", built=True)

        return self._then(operate)

    def mkdir(self, path: str, *, mode: int = 0o755, owner: str = "") -> State:
        """A folder with its missing parents."""
        where, bits = checked.path(path, "the path of mkdir"), int(checked.octal(mode, "the mode of mkdir"), 8)
        return self._act(
            f"MKDIR {where}",
            lambda b, notes: Mkdir(b.root, b.absolute(where), bits, owner, mtime=b.epoch, notes=notes),
        )

    def remove(self, path: str, *, missing_ok: bool = False) -> State:
        """Take away a path, or everything that a wildcard matches."""
        where = checked.path(path, "the path of remove")
        wild = any(sign in where for sign in "*?[")
        return self._act(
            f"REMOVE {where}", lambda b, notes: Remove(b.root, b.absolute(where), wild, missing_ok, notes=notes)
        )

    def symlink(self, path: str, target: str) -> State:
        """A symbolic link at `path` that says `target`."""
        where, what = checked.path(path, "the path of symlink"), checked.path(target, "the target of symlink")
        return self._act(f"LINK {where} {what}", lambda b, notes: Link(b.root, b.absolute(where), what, notes=notes))

    def _act(self, title: str, make: Callable[[Building, Notes], Node]) -> State:
        return self._then(lambda b: b.add(make(b, Notes(title)), title))

    # --- configuration -------------------------------------------------------------------------------------

    def env(self, variables: Mapping[str, str] | None = None, /, **more: str) -> State:
        """Environment variables of the image and of the steps that follow."""
        given = checked.variables({**(variables or {}), **more}, "env")
        words = "ENV " + " ".join(f"{name}={value}" for name, value in given.items())

        def operate(b: Building) -> None:
            b.set_env(given)
            b.add(None, words)

        return self._then(operate)

    def arg(self, name: str, value: str) -> State:
        """A variable of the steps that follow, but not of the image; the image's history shows it."""
        given = checked.variables({name: value}, "arg")

        def operate(b: Building) -> None:
            b.args.update(given)
            b.add(None, f"ARG {name}={value}")

        return self._then(operate)

    def workdir(self, path: str) -> State:
        """The working folder, made if it is not there."""
        given = checked.path(path, "the path of workdir")

        def operate(b: Building) -> None:
            where = b.absolute(given)
            b.settings["WorkingDir"] = shown = given if given.startswith("/") else where
            title = f"WORKDIR {shown}"
            who = b.settings.get("User", "")
            b.add(None if where == "/" else Mkdir(b.root, where, owner=who, mtime=b.epoch, notes=Notes(title)), title)
            if where == "/":
                b.config["history"][-1].pop("empty_layer")

        return self._then(operate)

    def user(self, name: str) -> State:
        """Who runs the steps that follow, and the image."""
        who = checked.text(name, "the user")
        return self._set("User", who, f"USER {who}")

    def cmd(self, command: str | Sequence[str]) -> State:
        """The image's default command: an argv, or text for the shell."""
        words = checked.command(command, "cmd")

        def operate(b: Building) -> None:
            argv = [*b.shell, words] if isinstance(words, str) else list(words)
            b.settings.update(Cmd=argv, ArgsEscaped=True)
            b.cmd_set = True
            b.add(None, f"CMD {quoted(argv)}")

        return self._then(operate)

    def entrypoint(self, command: str | Sequence[str]) -> State:
        """The image's entry point. The base's command goes: it was meant for the base's entry point."""
        words = checked.command(command, "entrypoint")

        def operate(b: Building) -> None:
            argv = [*b.shell, words] if isinstance(words, str) else list(words)
            b.settings["Entrypoint"] = argv
            if not b.cmd_set:
                b.settings.pop("Cmd", None)
            b.add(None, f"ENTRYPOINT {quoted(argv)}")

        return self._then(operate)

    def shell(self, argv: Sequence[str]) -> State:
        """What text commands are given to."""
        words = checked.texts(argv, "shell")
        return self._set("Shell", list(words), f"SHELL [{' '.join(words)}]")

    def label(self, labels: Mapping[str, str] | None = None, /, **more: str) -> State:
        """Labels of the image."""
        given = checked.variables({**(labels or {}), **more}, "label")
        words = "LABEL " + " ".join(f"{name}={value}" for name, value in given.items())
        return self._merge("Labels", given, words)

    def expose(self, *ports: int | str) -> State:
        """Ports the image listens on, e.g. ``8080`` or ``"53/udp"``."""
        named = sorted(port(one) for one in ports)
        return self._merge("ExposedPorts", {one: {} for one in named}, f"EXPOSE [{' '.join(named)}]")

    def volume(self, *paths: str) -> State:
        """Folders whose content is kept outside of containers."""
        names = checked.texts(paths, "volume")
        return self._merge("Volumes", {name: {} for name in names}, f"VOLUME [{' '.join(names)}]")

    def stop_signal(self, name: str) -> State:
        """The signal that ends a container."""
        what = checked.text(name, "the signal")
        return self._set("StopSignal", what, f"STOPSIGNAL {what}")

    def onbuild(self, instruction: str) -> State:
        """An instruction of a Dockerfile for images that stand on this one."""
        what = checked.text(instruction, "the instruction of onbuild")
        return self._then(lambda b: b.settings.update(OnBuild=[*(b.settings.get("OnBuild") or []), what]))

    def author(self, name: str) -> State:
        """Who made the image."""
        who = checked.text(name, "the author")

        def operate(b: Building) -> None:
            b.config["author"] = who
            b.add(None, f"MAINTAINER {who}")

        return self._then(operate)

    def healthcheck(
        self,
        command: str | Sequence[str] | None,
        *,
        interval: float = 0,
        timeout: float = 0,
        start_period: float = 0,
        start_interval: float = 0,
        retries: int = 0,
    ) -> State:
        """What tells whether a container works; None switches the base's off. Times in seconds; 0: the runtime's own."""
        words = None if command is None else checked.command(command, "healthcheck")
        seconds = (interval, timeout, start_period, start_interval)
        if any(isinstance(s, bool) or not isinstance(s, int | float) or s < 0 for s in (*seconds, retries)):
            raise UsageError("the times and retries of healthcheck are numbers from 0 on")
        times = [round(s * SECOND) for s in seconds]

        def operate(b: Building) -> None:
            test = ["NONE"] if words is None else ["CMD-SHELL", words] if isinstance(words, str) else ["CMD", *words]
            names = ("Interval", "Timeout", "StartPeriod", "StartInterval")
            check: Json = {"Test": test, **{name: time for name, time in zip(names, times, strict=True) if time}}
            b.settings["Healthcheck"] = {**check, **({"Retries": retries} if retries else {})}
            b.add(None, health_words(test, times, retries))

        return self._then(operate)

    def _set(self, key: str, value: object, words: str) -> State:
        def operate(b: Building) -> None:
            b.settings[key] = value
            b.add(None, words)

        return self._then(operate)

    def _merge(self, key: str, values: Mapping[str, object], words: str) -> State:
        def operate(b: Building) -> None:
            b.settings[key] = {**(b.settings.get(key) or {}), **values}
            b.add(None, words)

        return self._then(operate)

    # --- lowering ------------------------------------------------------------------------------------------

    def lower(self, images: Images, platform: str, epoch: int | None = None) -> Target:
        """The Target that this State describes; `epoch` is the Unix time that it says it was made at. Raises what `images`
        raises."""
        b = lowered(self, images, platform, epoch, {})
        return Target(b.root, b.config, platform, tuple(b.layers), b.base_layers, b.epoch)

    def definition(self, images: Images, *platforms: str, epoch: int | None = None) -> Definition:
        """A Definition with a target for each platform."""
        return Definition(tuple(self.lower(images, platform, epoch) for platform in platforms))


def image(name: str) -> State:
    """A State that stands on an image of a registry or of the store. Raises `UsageError` for what is no name."""
    from img.oci.reference import Reference

    if "://" not in checked.text(name, "the name of an image"):  # else it is for a source of that scheme
        Reference.parse(name)
    return State(name)


def scratch() -> State:
    """A State over an empty filesystem."""
    return State(None)
