"""What a stage has come to while its instructions are lowered one by one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from img.ir.nodes import Node
from img_frontends.dockerfile.scope import Args

Json = Any

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL = ("/bin/sh", "-c")
COMMENT = "buildkit.dockerfile.v0"


class StageState:
    """A stage's filesystem and configuration so far. `image` is the configuration without rootfs."""

    def __init__(
        self,
        node: Node,
        image: Mapping[str, Json],
        platform: str,
        base_layers: int,
        args: Args,
        layers: tuple[str, ...] = (),
    ) -> None:
        self.node = node
        self.image: dict[str, Json] = copy.deepcopy(dict(image))
        self.platform = platform
        self.base_layers = base_layers
        self.layers = list(layers)
        self.args: dict[str, str | None] = {}
        """Declared arguments in order, with their values."""
        self.globals: dict[str, str] = {}
        self.set_cmd = False
        self._given = args
        if not isinstance(self.image.get("config"), dict):
            self.image["config"] = {}
        config = self.config
        pairs = [item.partition("=") for item in config.get("Env") or []]
        self.env: dict[str, str] = {name: value for name, _, value in pairs}
        if "PATH" not in self.env:
            self.env = {"PATH": PATH, **self.env}
            config["Env"] = [f"{name}={value}" for name, value in self.env.items()]
        self.user: str = config.get("User") or ""
        self.shell: tuple[str, ...] = tuple(config.get("Shell") or SHELL)

    @property
    def config(self) -> dict[str, Json]:
        config: dict[str, Json] = self.image["config"]
        return config

    @property
    def cwd(self) -> str:
        return self.config.get("WorkingDir") or "/"

    @property
    def variables(self) -> dict[str, str]:
        """What words are expanded with: ARG values, and over them ENV."""
        return {**{name: value for name, value in self.args.items() if value is not None}, **self.env}

    def declare(self, name: str, default: str | None) -> None:
        """ARG in a stage: the given value, else the default, else that of the global scope."""
        value = self._given.given(name)
        if value is None:
            value = default if default is not None else self.globals.get(name)
        self.args.pop(name, None)
        self.args[name] = value

    def note(self, words: str, node: Node | None = None) -> None:
        """A history entry: of a new layer if `node` is given, which is then the stage's filesystem."""
        entry: dict[str, Json] = {"created_by": f"{words} # buildkit", "comment": COMMENT}
        if node is None:
            entry["empty_layer"] = True
        else:
            self.node = node
            self.layers.append(node.digest)
        history = self.image.get("history") or []
        self.image["history"] = [*history, entry]

    def child(self, args: Args) -> StageState:
        """A stage that is FROM this one: files and configuration go on, arguments do not."""
        return StageState(self.node, self.image, self.platform, self.base_layers, args, tuple(self.layers))
