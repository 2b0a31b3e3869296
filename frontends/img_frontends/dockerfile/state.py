"""What a stage has come to while its instructions are lowered one by one."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from typing import Any

from img.ir.nodes import Node
from img_frontends.dockerfile.scope import NOT_ENV, Args

Json = Any

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL = ("/bin/sh", "-c")
COMMENT = "buildkit.dockerfile.v0"


def readable(text: str) -> str:
    """The text with U+FFFD for bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class StageState:
    """A stage's filesystem and configuration so far. `image` is the configuration without rootfs.

    `scope` is what words are expanded with and what RUN sees: the image's environment, and the arguments that were
    declared; of two with one name the later wins, but an argument never changes the image's environment. A stage that
    is FROM another gets the other's scope, with the image's environment over it.
    """

    def __init__(
        self,
        node: Node,
        image: Mapping[str, Json],
        platform: str,
        base_layers: int,
        args: Args,
        above: StageState | None = None,
    ) -> None:
        self.node = node
        self.image: dict[str, Json] = dict(image)
        self.image["config"] = copy.deepcopy(image.get("config"))  # the rest is replaced, never changed
        self.platform = platform
        self.base_layers = base_layers
        self.layers: list[str] = list(above.layers) if above else []
        self.declared: dict[str, str | None] = dict(above.declared) if above else {}
        """Arguments of ARG in order, with the value each was given."""
        self.globals: Mapping[str, str] = {}
        self.epoch: int | None = above.epoch if above else None
        self.set_cmd = False
        self._given = args
        if not isinstance(self.image.get("config"), dict):
            self.image["config"] = {}
        self.image["history"] = list(self.image.get("history") or [])
        config = self.config
        self.env: dict[str, str] = {
            name: value for name, _, value in (item.partition("=") for item in config.get("Env") or [])
        }
        self._slots: dict[str, int] = {}
        if "PATH" not in self.env:
            self.env["PATH"] = PATH
            self._keep_env()
        self.scope: dict[str, str] = {**(above.scope if above else {}), **self.env}
        self.user: str = config.get("User") or ""
        self.shell: tuple[str, ...] = tuple(config.get("Shell") or SHELL)
        if not (config.get("WorkingDir") or "/").startswith("/"):
            config["WorkingDir"] = self.absolute("")

    @property
    def config(self) -> dict[str, Json]:
        config: dict[str, Json] = self.image["config"]
        return config

    @property
    def cwd(self) -> str:
        return self.config.get("WorkingDir") or "/"

    def absolute(self, path: str) -> str:
        """A path of an instruction, from the working folder on, cleaned."""
        return "/" + posixpath.normpath(posixpath.join("/", self.cwd, path)).lstrip("/")

    def set_env(self, name: str, value: str) -> None:
        """ENV: for the image, and for what follows."""
        self.env[name] = self.scope[name] = value
        if not self._slots:
            self._keep_env()
        elif name in self._slots:
            self.config["Env"][self._slots[name]] = f"{name}={value}"
        else:
            self._slots[name] = len(self._slots)
            self.config["Env"].append(f"{name}={value}")

    def _keep_env(self) -> None:
        """Write the environment into the configuration, in a list of its own, and remember where each name stands."""
        self.config["Env"] = [f"{name}={value}" for name, value in self.env.items()]
        self._slots = {name: number for number, name in enumerate(self.env)}

    def argument(self, name: str) -> tuple[str | None, bool]:
        """What ARG `name` would be without a default, and whether the build was given it: a given value beats a
        default, a default beats the global scope's."""
        given = self._given.given(name)
        return (given, True) if given is not None else (self.globals.get(name), False)

    def declare(self, name: str, value: str | None) -> None:
        """ARG in a stage, with the value it comes to; None leaves the name as it is."""
        self.declared.setdefault(name, None)
        self.declared[name] = value
        if value is not None and name not in NOT_ENV:
            self.scope[name] = value

    def told(self) -> str:
        """The declared arguments as the history of a RUN shows them: ``|2 a=1 b=``, with a blank at the end."""
        if not self.declared:
            return ""
        pairs = (f"{name}={self.scope.get(name, value or '')} " for name, value in self.declared.items())
        return f"|{len(self.declared)} " + "".join(pairs)

    def note(self, words: str, node: Node | None = None, *, built: bool = False) -> None:
        """A history entry: of a new layer if `node` is given, which is then the stage's filesystem. `built` says that
        the words get the mark of a step that ran: those of RUN, COPY and ADD."""
        entry: dict[str, Json] = {"created_by": readable(f"{words} # buildkit" if built else words), "comment": COMMENT}
        if node is None:
            entry["empty_layer"] = True
        else:
            self.node = node
            self.layers.append(node.digest)
        self.image["history"].append(entry)

    def child(self, args: Args) -> StageState:
        """A stage that is FROM this one: files, configuration and arguments go on."""
        return StageState(self.node, self.image, self.platform, self.base_layers, args, self)
