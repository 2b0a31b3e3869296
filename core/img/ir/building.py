"""A target on its way from a `img.ir.state.State` to its graph, with the history that a Dockerfile would have left.

History texts are BuildKit's (docs/decisions/0024): the same app as a Dockerfile, a document and a program is one image.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from img.ir.nodes import Copy, Node, Scratch, Source

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMENT = "buildkit.dockerfile.v0"
SHELL = ("/bin/sh", "-c")
IMAGES = ("docker-image", "oci-layout")

Json = dict[str, Any]


class Images(Protocol):
    """What lowering asks of the world: `img.ports.Resolver` has it."""

    def image(self, ref: str, platform: str) -> Any: ...


@dataclass(slots=True)
class Building:
    """One State's filesystem and configuration so far."""

    root: Node
    config: Json
    layers: list[str]
    base_layers: int
    platform: str
    images: Images
    epoch: int | None = None
    args: dict[str, str] = field(default_factory=dict)
    cmd_set: bool = False
    done: dict[int, tuple[object, Building]] = field(default_factory=dict)
    """Other States that were lowered for this one, by `id`, with the State so that the id stays its own."""

    @property
    def settings(self) -> Json:
        """The part of the configuration that says how the image runs."""
        settings: Json = self.config.setdefault("config", {})
        return settings

    @property
    def shell(self) -> tuple[str, ...]:
        return tuple(self.settings.get("Shell") or SHELL)

    @property
    def environment(self) -> dict[str, str]:
        """The image's variables."""
        pairs = (item.partition("=") for item in self.settings.get("Env") or [])
        return {name: value for name, _, value in pairs}

    def set_env(self, variables: Mapping[str, str]) -> None:
        merged = {**self.environment, **variables}
        self.settings["Env"] = [f"{name}={value}" for name, value in merged.items()]

    def absolute(self, path: str) -> str:
        """A path from the working folder on, cleaned."""
        return "/" + posixpath.normpath(posixpath.join("/", self.settings.get("WorkingDir") or "/", path)).lstrip("/")

    def folder(self, path: str) -> str:
        """A destination: absolute, with the slash at the end that says folder."""
        said = path in ("", ".", "..") or path.endswith(("/", "/.", "/.."))
        return self.absolute(path).rstrip("/") + "/" if said else self.absolute(path)

    def add(self, node: Node | None, words: str, built: bool = False) -> None:
        """Note one instruction: a layer if it is a node, else an empty history entry."""
        entry: Json = {"created_by": f"{words} # buildkit" if built else words, "comment": COMMENT}
        if node is None:
            entry["empty_layer"] = True
        else:
            self.root = node
            self.layers.append(node.digest)
        self.config.setdefault("history", []).append(entry)

    def told(self) -> str:
        """The arguments as the history of a RUN shows them, with a blank at the end."""
        pairs = "".join(f"{name}={value} " for name, value in self.args.items())
        return f"|{len(self.args)} {pairs}" if self.args else ""


def mountable(node: Node, path: str, notes: Any) -> Node:
    """`node` as something a step can mount: of a folder, `path` is copied onto nothing first."""
    if not isinstance(node, Source) or node.scheme in IMAGES:
        return node
    taken = path.lstrip("/")
    return Copy(Scratch(), node, (taken,), path if taken else "/", literal=True, notes=notes)


# --- histories in Go's words ---------------------------------------------------------------------------------------

_NAMED = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 39: "'", 92: "\\"}


def quoted(values: Sequence[str]) -> str:
    """A list as Go's ``%q`` prints it."""
    return "[" + " ".join(json.dumps(value, ensure_ascii=False) for value in values) + "]"


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: ``1m30s``, ``500ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        unit, size = next((u, s) for u, s in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if nanoseconds >= s)
        return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    hours, rest = divmod(nanoseconds / 10**9, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours or minutes:
        text = f"{int(minutes)}m{text}"
    return f"{int(hours)}h{text}" if hours else text


def health_words(test: Sequence[str], times: Sequence[int], retries: int) -> str:
    """HEALTHCHECK in the history: Go's ``%q`` of its record, where a number is the character of that number."""
    if retries in _NAMED:
        shown = f"\\{_NAMED[retries]}"
    else:
        shown = f"\\x{retries:02x}" if retries < 32 or retries == 127 else chr(min(retries, 0x10FFFF))
    words = " ".join(f'"{go_duration(time)}"' for time in times)
    return f"HEALTHCHECK &{{{quoted(test)} {words} '{shown}'}}"
